"""Ctrl-C while jobs are waited for: it ends the waiting alone, and says what goes on, and what can be done with it."""

import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hvd.texts import plain

_NAMED = 5  # ids that are written out


@contextmanager
def explained_interruption(
    open_ids: Callable[[], Sequence[str]], options: Sequence[str], wait: str = "wait"
) -> Iterator[None]:
    """While this is done, Ctrl-C says on stderr which of the jobs go on, and goes on itself as KeyboardInterrupt.

    `options` name the daemon, `wait` is the command that waits again. A second Ctrl-C ends the process at once.
    """
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for line in lines(open_ids(), options, wait):
            print(line, file=sys.stderr)
        raise


def lines(ids: Sequence[str], options: Sequence[str], wait: str) -> list[str]:
    """Lines that say that these jobs go on, with commands for them; none where no job is left."""
    if not ids:
        return []
    names = [plain(job_id) for job_id in ids[:_NAMED]]
    if len(ids) == 1:
        head, names = f"the job {names[0]} goes on", names
    elif len(ids) <= _NAMED:
        head = f"{len(ids)} jobs go on"
    else:
        head, names = f"{len(ids)} jobs go on", ["ID", "..."]
    look = ["show", names[0]] if len(ids) == 1 else ["list", "--status", "pending,running"]
    commands = {"look at it": look, "wait again": [*wait.split(), *names], "cancel it": ["cancel", *names]}
    if len(ids) > 1:
        commands = {what.replace(" it", " them"): words for what, words in commands.items()}
    width = max(map(len, commands)) + 1
    after = "".join(f" {shlex.quote(option)}" for option in options)
    hints = [f"  {what + ':':{width}} hvd jobs {' '.join(words)}{after}" for what, words in commands.items()]
    return [f"hvd: no longer waiting; {head}", *hints]
