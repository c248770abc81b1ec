"""`hvd stacks`: where the threads of a daemon's processes are in their Python code."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hvd.cli.answers import Json, objects
from hvd.cli.arguments import Exit
from hvd.cli.client import Address, exchange
from hvd.cli.frames import LOOP, POOL, age_text, idleness, place, request_text
from hvd.cli.jobs.show import stdout_encoding
from hvd.cli.target import target
from hvd.errors import DaemonRefused
from hvd.read.frames import is_of_app
from hvd.texts import UNKNOWN, digits, figure, plain

PATH = "/api/v1/stacks"
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_FAULTS = (404, 405)


_ABOUT = """\
Each thread with its request, then its frames: the innermost one first, where the thread is now. `>` marks
frames that are neither a library's nor Python's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `hvd stacks`."""
    parser.epilog = _ABOUT
    parser.add_argument("pid", nargs="?", type=_pid, metavar="PID", help="of one process (default: all workers)")
    parser.add_argument("--all", action="store_true", help="with the threads that wait for work")
    parser.add_argument("--json", action="store_true", help="as JSON, as the daemon answers")


def _pid(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is no process id")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Print them; REFUSED where none could be taken. Raises DaemonUnreachable, DaemonRefused and SettingsError."""
    answer = fetch(target(args)[0], args.pid, args.timeout)
    if args.json:
        print(json.dumps(answer, indent=2))
        return Exit.OK
    emphasis = (_BOLD, _PLAIN) if sys.stdout.isatty() else ("", "")
    processes = objects(answer.get("processes"))
    lines = [line for process in processes for line in process_lines(process, args.all, emphasis)]
    print("\n".join(lines) if lines else "no worker lives")
    return Exit.REFUSED if processes and not any(process.get("threads") for process in processes) else Exit.OK


def fetch(address: Address, pid: int | None, timeout: float) -> dict[str, Any]:
    """The stacks of that process, or of all workers. Raises DaemonUnreachable; DaemonRefused where it has none."""
    answer = exchange(address, "GET", PATH if pid is None else f"{PATH}?pid={pid}", timeout)
    fields = answer.object()
    if answer.status == 200:
        if not isinstance(fields.get("processes"), list):
            raise answer.not_hvd(lacks="processes")
        return fields
    if answer.status in _FAULTS and str(pid) not in _detail(fields):  # else that is no worker of the daemon
        what = "it is not the daemon's admin server, whose address hvd list shows, or it is an older hvd's"
        text = f"{address.url} has no stacks: {what}"
        raise DaemonRefused(text, answer.status)
    if answer.status in (401, 403, 500):
        raise answer.refusal()
    raise DaemonRefused(f"{address.url} gives no stacks: {_detail(fields) or answer.status}", answer.status)


def _detail(problem: Json) -> str:
    return str(problem.get("detail") or problem.get("title") or "")


def process_lines(process: Json, all_threads: bool, emphasis: tuple[str, str] = ("", "")) -> list[str]:
    """A process: each thread with its frames, innermost first; those that only wait for work in one line together.

    What serves a request comes first, the oldest request before the others.
    """
    encoding = stdout_encoding()
    threads = sorted(objects(process.get("threads")), key=_request_age, reverse=True)
    if not all_threads:
        threads = _without_loops(threads)
    kind = plain(process.get("kind"), encoding, 20)
    pid, slot = (figure(process.get(name), digits) for name in ("pid", "slot"))
    seen = f"seen {age_text(process.get('taken_age_seconds'))} ago"
    threads_text = "1 thread" if len(threads) == 1 else f"{len(threads)} threads"
    lines = [f"{kind} {pid}, slot {slot}, {threads_text}, {seen}"]
    idle = Counter(words for words in map(idleness, threads) if words and not all_threads)
    for thread in threads:
        if all_threads:
            lines += _thread_lines(thread, encoding, emphasis, f"  thread {thread.get('thread')}")
        elif not idleness(thread):
            lines += _thread_lines(thread, encoding, emphasis, "")
    if idle:
        lines.append(f"  {', '.join(f'{idle[words]} {words}' for words in (LOOP, POOL) if words in idle)}")
    if error := process.get("error"):
        lines.append(f"  ! {plain(error, encoding)}")
    return [*lines, ""]


def _without_loops(threads: list[Json]) -> list[Json]:
    """Without those that run one of many requests that a thread serves, which stands there with the same frames."""
    serving = [thread for thread in threads if isinstance(thread.get("request"), Mapping)]
    stacks = [thread.get("frames") for thread in serving]
    return [thread for thread in threads if thread in serving or thread.get("frames") not in stacks]


def _thread_lines(thread: Json, encoding: str, emphasis: tuple[str, str], ident: str) -> list[str]:
    request = thread.get("request")
    work = request_text(request, encoding) if isinstance(request, Mapping) else "no request"
    bold, normal = emphasis
    lines = [f"  {bold}{work}{normal}{plain(ident, encoding, 40) if ident else ''}"]
    for frame in objects(thread.get("frames")):
        text = place(frame, encoding)
        lines.append(f"  > {bold}{text}{normal}" if is_of_app(str(frame.get("file", ""))) else f"    {text}")
    return lines if len(lines) > 1 else [*lines, f"    {UNKNOWN}"]


def _request_age(thread: Json) -> float:
    request = thread.get("request")
    age = request.get("age_seconds") if isinstance(request, Mapping) else None
    return age if isinstance(age, int | float) else -1.0
