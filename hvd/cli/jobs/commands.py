"""`hvd jobs`: submit, list, show, retry, cancel and wait for the jobs of a running daemon, and read what they print."""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

from hvd.cli import arguments
from hvd.cli.arguments import Exit
from hvd.cli.jobs.follow import follow, output_pieces
from hvd.cli.jobs.interruption import explained_interruption
from hvd.cli.jobs.progress import line, progress
from hvd.cli.jobs.remote import Json, Remote, errors_of
from hvd.cli.jobs.show import OutputText, detail_lines, job_lines, kind_lines, stdout_encoding
from hvd.cli.target import target
from hvd.jobs.states import COMPLETED, ENDED, STATUSES
from hvd.jobs.strict_json import parse
from hvd.jobs.submission import BODY_MAX, KEY_MAX, LIST_DEFAULT, LIST_MAX, NAME_MAX
from hvd.settings.loader import load
from hvd.texts import plain

_TIMEOUT = 5.0  # s for one question while waiting
_WITHIN_MAX = 366 * 86_400  # s

_EXAMPLES = """\
examples:
  hvd jobs kinds                                    what there is, with its parameters
  hvd jobs submit checksum file=/srv/images/a.img   prints the job's id
  hvd jobs submit convert source=/srv/a.img target=/srv/a.qcow2 format=qcow2 --wait
  hvd jobs submit --json jobs.json --key 2026-01-23-nightly
  hvd jobs list --status pending,running --kind convert
  hvd jobs list --search frankfurt
  hvd jobs wait ID ID --timeout 600
  hvd jobs output -f ID                             what it prints, until it has ended
  hvd jobs retry ID                                 the same once more; prints the new job's id
  hvd jobs cancel ID

exit codes beside those of hvd:
  4 a job that was waited for failed or was cancelled, 5 the daemon refused, or knows no such job,
  6 not all jobs ended in time

Where the daemon asks for a token, set HVD_TOKEN, or token in the file that HVD_CONFIG names; or give
--token-file."""

Run = Callable[[argparse.Namespace], int]


class _Parser(argparse.ArgumentParser):
    """Takes options between positional arguments too: `submit KIND --name N key=value`."""

    _inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._inside:
            return super().parse_known_args(args, namespace)
        self._inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._inside = False


def add_parser(commands: Any, url: argparse.ArgumentParser, remote: argparse.ArgumentParser) -> None:
    """Add `jobs` to the commands. `url` has the option --url, `remote` also --timeout."""
    raw = argparse.RawDescriptionHelpFormatter
    about = "submit jobs to a daemon, and look after them"
    jobs = commands.add_parser("jobs", help=about, description=about, epilog=_EXAMPLES, formatter_class=raw)
    verbs = jobs.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    def add(name: str, parent: argparse.ArgumentParser, run: Run, help: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = verbs.add_parser(name, parents=[parent], help=help, description=help)
        parser.set_defaults(run=run, parser=parser)
        return parser

    submit = add("submit", remote, _submit, "submit a job, or those of a file")
    submit.add_argument("kind", nargs="?", metavar="KIND", help="one of `hvd jobs kinds`")
    submit.add_argument("params", nargs="*", type=_pair, metavar="NAME=VALUE", help="the kind's parameters")
    submit.add_argument("--name", metavar="N", help=f"what lists call it, up to {NAME_MAX} characters (default: KIND)")
    submit.add_argument("--json", metavar="FILE", help='{"kind": ..., "params": ...} or {"jobs": [...]}; - reads stdin')
    submit.add_argument("--key", type=_key, metavar="K", help="idempotency key: submitted again, no job is made twice")
    submit.add_argument("--wait", action="store_true", help="wait until all have ended")

    kinds = add("kinds", remote, _kinds, "show what kinds of job there are")
    kinds.add_argument("--json", action="store_true", help="as JSON")

    lists = add("list", remote, _list, "list the newest jobs")
    lists.add_argument("--status", type=_statuses, default=[], metavar="S", help=f"of {','.join(STATUSES)}")
    lists.add_argument("--kind", type=_commas, default=[], metavar="K", help="of these kinds, commas between")
    lists.add_argument("--search", metavar="TEXT", help="with this text in their name, kind or id, in any case")
    lists.add_argument("--limit", type=_limit, default=LIST_DEFAULT, metavar="N", help="at most (default: %(default)s)")
    lists.add_argument("--before", metavar="ID", help="only those older than this one: the next page")
    lists.add_argument("--json", action="store_true", help="as JSON, as the daemon answers")

    show = add("show", remote, _show, "show all of one job")
    show.add_argument("id", metavar="ID")
    show.add_argument("--json", action="store_true", help="as JSON")

    output = add("output", remote, _output, "print what a job has printed")
    output.add_argument("id", metavar="ID")
    output.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")

    retry = add("retry", remote, _retry, "do a job that has ended once more, as a new job")
    retry.add_argument("id", metavar="ID")
    retry.add_argument("--key", type=_key, metavar="K", help="idempotency key: retried again, no job is made twice")
    retry.add_argument("--wait", action="store_true", help="wait until the new job has ended")

    cancel = add("cancel", remote, _cancel, "cancel jobs: pending ones at once, running ones are told to end")
    cancel.add_argument("ids", nargs="+", metavar="ID")

    wait = add("wait", url, _wait, "wait until all these jobs have ended")
    wait.add_argument("ids", nargs="+", metavar="ID")
    within = partial(arguments.seconds, most=_WITHIN_MAX, words="a year")
    wait.add_argument("--timeout", type=within, metavar="S", help="seconds to wait at most (default: no end)")


def _submit(args: argparse.Namespace) -> int:
    remote = _remote(args, changing=True)
    body = _body(args) if args.json else _job(args, remote)
    answer = remote.submit(body, args.key)
    ids = [str(job_id) for job_id in answer.get("job_ids", [])]
    _print(map(plain, ids))
    for error in errors_of(answer):
        print(f"hvd: not taken: {plain(error)}", file=sys.stderr)
    if args.wait and ids and (code := _follow(args, remote, ids, None)):
        return code
    return Exit.REFUSED if answer.get("rejected") else Exit.OK


def _body(args: argparse.Namespace) -> Any:
    if args.kind or args.params or args.name is not None:
        args.parser.error("--json has all of the jobs in it: give neither KIND, NAME=VALUE nor --name")
    try:
        stdin = args.json == "-"
        with open(0 if stdin else args.json, "rb", closefd=not stdin) as file:
            data = file.read(BODY_MAX + 1)
        if len(data) > BODY_MAX:
            raise ValueError(f"more than {BODY_MAX} bytes: submit the jobs in several files")
        return parse(data)
    except OSError as error:
        args.parser.error(f"--json {args.json!r} can't be read ({error.strerror})")
    except ValueError as error:
        args.parser.error(f"--json {args.json!r}: {error}")


def _job(args: argparse.Namespace, remote: Remote) -> dict[str, Any]:
    if not args.kind:
        args.parser.error("give a KIND, or --json")
    params = dict(args.params)
    if len(params) < len(args.params):
        args.parser.error("a parameter is given twice")
    kind = remote.kinds().get(args.kind) or {}
    named = {} if args.name is None else {"name": args.name}
    return {"kind": args.kind, "params": _typed(params, kind.get("params") or {}), **named}


def _typed(params: dict[str, str], limits: dict[str, Any]) -> dict[str, Any]:
    """The parameters with numbers where the kind wants numbers; what is no number is the daemon's to refuse."""
    numbers = {name for name, limit in limits.items() if limit.get("type") == "int"}
    return {
        name: int(text) if name in numbers and re.fullmatch(r"-?[0-9]{1,18}", text) else text
        for name, text in params.items()
    }


def _kinds(args: argparse.Namespace) -> int:
    kinds = _remote(args).kinds()
    return _print_answer(args, kinds, kind_lines)


def _list(args: argparse.Namespace) -> int:
    page = _remote(args).page(args.status, args.kind, args.limit, args.before, args.search)
    code = _print_answer(args, page, lambda page, encoding: job_lines(page.get("jobs", []), encoding))
    if page.get("next") and not args.json:
        total = f"{page['total']} in all; " if isinstance(page.get("total"), int) else ""
        print(f"{total}older ones: --before {plain(page['next'])}", file=sys.stderr)
    return code


def _show(args: argparse.Namespace) -> int:
    job = _remote(args).get(args.id)
    return _print_answer(args, job, detail_lines)


def _output(args: argparse.Namespace) -> int:
    """Byte for byte as the job printed it, unless it goes to a terminal."""
    remote = _remote(args)
    text_of = OutputText(stdout_encoding()) if sys.stdout.isatty() else None
    pieces = output_pieces(remote, args.id, note=_note) if args.follow else [remote.output(args.id).data]
    with explained_interruption(lambda: [args.id] if args.follow else [], _daemon_options(args), "output -f"):
        for piece in pieces:
            if text_of:
                sys.stdout.write(text_of(piece))
                sys.stdout.flush()
            else:
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    return Exit.OK


def _note(text: str) -> None:
    print(f"hvd: {plain(text)}", file=sys.stderr)


def _retry(args: argparse.Namespace) -> int:
    remote = _remote(args, changing=True)
    new = str(remote.retry(args.id, args.key).get("id"))
    _print([plain(new)])
    return _follow(args, remote, [new], None) if args.wait else Exit.OK


def _cancel(args: argparse.Namespace) -> int:
    words = {"cancelled": "cancelled", "cancelling": "told to end", "ended": "had ended", "unknown": "no such job"}
    outcomes = _remote(args, changing=True).cancel(args.ids)
    _print(f"{plain(job_id)}  {word}" for outcome, word in words.items() for job_id in outcomes[outcome])
    return Exit.REFUSED if outcomes["ended"] or outcomes["unknown"] else Exit.OK


def _wait(args: argparse.Namespace) -> int:
    return _follow(args, _remote(args), args.ids, args.timeout)


def _follow(args: argparse.Namespace, remote: Remote, ids: Sequence[str], within: float | None) -> int:
    unfinished = dict.fromkeys(ids)  # those that have not ended, as far as is known

    def show_and_note(answers: Sequence[Json]) -> None:
        for job in answers:
            if job.get("status") in ENDED:
                unfinished.pop(str(job.get("id")), None)
        show(answers)

    with explained_interruption(lambda: list(unfinished), _daemon_options(args)), progress() as show:
        jobs = follow(remote, ids, within, show_and_note, note=cache(_note))  # the same is said once
    failed = [job for job in jobs if job.get("status") != COMPLETED]
    for job in failed:
        print(f"hvd: not completed: {line(job)}", file=sys.stderr)
    return Exit.JOB_FAILED if failed else Exit.OK


def _daemon_options(args: argparse.Namespace) -> list[str]:
    """The arguments that name the daemon, to be given again."""
    named = {option: getattr(args, option, None) for option in ("instance", "token_file", "ca_file")}
    named["url"] = args.url.url if args.url else None
    return [word for name, value in named.items() if value for word in (f"--{name.replace('_', '-')}", value)]


def _remote(args: argparse.Namespace, *, changing: bool = False) -> Remote:
    """The daemon of these arguments; a request that changes something carries the token, if there is one."""
    token = load().settings.token if changing else ""
    address = target(args)[0]
    address = replace(address, token=address.token or token)
    return Remote(address, _TIMEOUT if args.run is _wait else args.timeout)


def _print(lines: Iterable[str]) -> None:
    for text in lines:
        print(text)


def _print_answer(args: argparse.Namespace, answer: Json, lines: Callable[[Json, str], list[str]]) -> int:
    """The answer's lines, or with --json all of it: in ASCII, so that control characters come escaped."""
    _print([json.dumps(answer, indent=2)] if args.json else lines(answer, stdout_encoding()))
    return Exit.OK


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def _key(text: str) -> str:
    if not 0 < len(text) <= KEY_MAX or not text.isascii() or not text.isprintable():
        raise argparse.ArgumentTypeError(f"a key is 1 to {KEY_MAX} printable ASCII characters")
    return text


def _commas(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _statuses(text: str) -> list[str]:
    statuses = _commas(text)
    if wrong := [status for status in statuses if status not in STATUSES]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is no status; there are: {', '.join(STATUSES)}")
    return statuses


def _limit(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,2}", text) or int(text) > LIST_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to {LIST_MAX}")
    return int(text)
