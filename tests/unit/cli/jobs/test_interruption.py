"""Ctrl-C while jobs are waited for."""

import signal
from collections.abc import Iterator

import pytest

from hvd.cli.jobs.interruption import explained_interruption, lines
from tests.unit.cli.daemon import ID, OTHER


@pytest.fixture
def _sigint() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def test_commands_name_the_job_and_the_daemon() -> None:
    """As they can be copied into a shell."""
    assert lines([ID], ["--url", "unix:/run/my hvd/admin"], "wait") == [
        f"hvd: no longer waiting; the job {ID} goes on",
        f"  look at it: hvd jobs show {ID} --url 'unix:/run/my hvd/admin'",
        f"  wait again: hvd jobs wait {ID} --url 'unix:/run/my hvd/admin'",
        f"  cancel it:  hvd jobs cancel {ID} --url 'unix:/run/my hvd/admin'",
    ]
    assert f"hvd jobs output -f {ID}" in lines([ID], [], "output -f")[2]


def test_of_many_jobs_the_number_is_told() -> None:
    """Some are written out; of more the shell has the ids already. An id is the daemon's text."""
    some = lines([ID, OTHER], [], "wait")
    assert some[0] == "hvd: no longer waiting; 2 jobs go on"
    assert some[1].endswith("hvd jobs list --status pending,running")
    assert some[2].endswith(f"hvd jobs wait {ID} {OTHER}")
    assert lines([str(number) for number in range(300)], [], "wait")[3].endswith("hvd jobs cancel ID ...")
    assert "\x1b" not in "".join(lines(["\x1b[2J"], [], "wait"))
    assert lines([], [], "wait") == []


@pytest.mark.usefixtures("_sigint")
def test_an_interruption_is_told_and_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr; the next one is the system's, which ends the process without a word."""
    with pytest.raises(KeyboardInterrupt), explained_interruption(lambda: [ID], []):
        raise KeyboardInterrupt
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", f"hvd: no longer waiting; the job {ID} goes on")
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


@pytest.mark.usefixtures("_sigint")
def test_where_nothing_is_interrupted_nothing_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Nor of an error of another kind."""
    before = signal.getsignal(signal.SIGINT)
    with explained_interruption(lambda: [ID], []):
        pass
    with pytest.raises(ValueError, match="x"), explained_interruption(lambda: [ID], []):
        raise ValueError("x")
    assert capsys.readouterr().err == ""
    assert signal.getsignal(signal.SIGINT) is before
