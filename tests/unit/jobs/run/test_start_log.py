"""What a runner has started, for the next one."""

from pathlib import Path

import pytest

from hvd.jobs.run import start_log
from hvd.jobs.run.start_log import StartLog


def test_the_next_runner_reads_what_was_started(tmp_path: Path) -> None:
    """Also where the runner died in the midst of a line; not where there is no file."""
    first, second = StartLog(str(tmp_path / "state"), "one"), StartLog(str(tmp_path / "state"), "two")
    first.begin()
    assert second.read("one") == set()
    first.note("a", 1)
    first.note("b", 2)
    with (tmp_path / "state" / "started-one").open("a") as file:
        file.write("c")
    assert second.read("one") == {("a", 1), ("b", 2)}
    second.forget("one")
    assert second.read("one") is None
    first.close()


@pytest.mark.parametrize("damage", [b"b\n", b"b x\n", b"\n", b"b 1 2\n", b"\xff 1\n", b"\0\0\0\0\n"])
def test_of_a_damaged_file_nothing_is_taken_as_never_started(tmp_path: Path, damage: bytes) -> None:
    """A line that can't be read may be that of any job: none may run a second time for it."""
    (tmp_path / "started-one").write_bytes(b"a 1\n" + damage + b"c 1\n")
    assert StartLog(str(tmp_path), "two").read("one") is None


def test_the_file_stays_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written anew with what runs, and is never without that."""
    monkeypatch.setattr(start_log, "FULL", 20)
    notes = StartLog(str(tmp_path), "one")
    notes.begin()
    for number in range(100):
        if notes.is_full:
            notes.begin([("kept", 1)])
        notes.note(f"job-{number}", 1)
        assert len((tmp_path / "started-one").read_bytes()) < 50
    assert {("kept", 1), ("job-99", 1)} <= (notes.read("one") or set())
    notes.remove()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_claimed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next runner finds no file, not one that lacks what was started; the log says so once."""
    (tmp_path / "state").write_text("")
    notes = StartLog(str(tmp_path / "state"), "one")
    notes.begin()
    notes.note("a", 1)
    assert notes.read("one") is None
    assert len(caplog.records) == 1
