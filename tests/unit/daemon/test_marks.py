"""What a master tells of starts, stops, reloads and upgrades."""

import os
import re

import pytest

from hvd import __version__
from hvd.core.beats import OwnBeat
from hvd.core.block import Block
from hvd.daemon import marks as module
from hvd.daemon.marks import ALONE, ON, Marks
from hvd.metrics.events import read_events, write_event

ME = os.getpid()


@pytest.fixture
def marks(block: Block) -> Marks:
    """Of this process, as a master of the block."""
    with block.locked():
        block.add_master(ME)
    return Marks(block, ME)


def told(block: Block) -> list[tuple[str, str]]:
    return [(event["kind"], event["text"]) for event in read_events(block)]


def test_a_start_tells_its_versions(block: Block, marks: Marks) -> None:
    """And whether hvd was another one before."""
    marks.start()
    marks.start(", after a daemon that was killed")
    text = f"hvd {__version__} has started ({ON})"
    assert told(block) == [("start", text), ("start", f"{text}, after a daemon that was killed")]
    assert {(event["pid"], event["version"]) for event in read_events(block)} == {(ME, __version__)}


def test_another_version_than_before_is_told(block: Block, marks: Marks, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a start, and at an upgrade, which may be gone back on."""
    marks.start()
    monkeypatch.setattr(module, "__version__", "9.0")
    marks.start()
    assert told(block)[-1] == ("version", f"hvd is 9.0 now, and was {__version__} before this start")
    monkeypatch.setattr(module, "__version__", "9.1")
    Marks(block, 77).upgrade(ME)
    assert told(block)[-1] == (
        "upgrade",
        f"upgrade from hvd 9.0 to hvd 9.1 ({ON}): master 77 serves beside master {ME}",
    )
    monkeypatch.setattr(module, "__version__", "9.0")
    marks.upgrade_over(77, "exit 0")
    marks.upgrade_over(78, "exit 1")
    assert [text for _, text in told(block)[-2:]] == [
        f"upgrade gone back on: master 77 (hvd 9.1) has ended (exit 0), hvd 9.0 goes on as master {ME}",
        f"upgrade failed: master 78 ended (exit 1), hvd 9.0 goes on as master {ME}",
    ]
    pairs = [(event["version"], event.get("before")) for event in read_events(block)[-3:]]
    assert pairs == [("9.1", "9.0"), ("9.0", "9.1"), ("9.0", None)]


def test_a_reload_tells_what_is_wrong_with_the_settings(block: Block, marks: Marks) -> None:
    """They stay what they were."""
    marks.reload("")
    marks.reload("threads must be a number")
    assert told(block) == [
        ("reload", "reload: hvd has read its settings again; workers are replaced"),
        ("reload", "reload: hvd goes on with the settings in force: threads must be a number; workers are replaced"),
    ]


def test_only_the_last_master_tells_that_hvd_stops(block: Block, marks: Marks) -> None:
    """Once; another one, also one that only begins, goes on, unless it is about to end too."""
    other = os.getppid()
    with block.locked():
        block.add_master(other)
    marks.stop(0)
    assert told(block) == []
    OwnBeat(block, other).end()
    marks = Marks(block, ME)
    marks.stop(0)
    marks.stop(0)
    Marks(block, ME).stop(4711)
    assert told(block) == [("stop", f"hvd {__version__} stops")]


def test_an_alert_is_over_with_its_daemon(block: Block, marks: Marks) -> None:
    """At its stop; after a kill, at the next start."""
    for end in (lambda: marks.stop(0), marks.start):
        write_event(block, "alert", "degraded: saturated", state="degraded", reasons=["saturated"])
        end()
    kinds = [kind for kind, _ in told(block)]
    assert kinds == ["alert", "alert_over", "stop", "alert", "alert_over", "start"]
    texts = [text for kind, text in told(block) if kind == "alert_over"]
    assert texts == ["degraded until hvd stopped, for 0s", "degraded until hvd ended, for 0s"]
    assert 0 <= read_events(block)[1]["seconds"] < 60


def test_a_daemon_that_starts_over_and_over_pushes_nothing_out(block: Block) -> None:
    """As its service manager has it, where a worker fails to boot each time; not of another version of hvd."""
    write_event(block, "death", "worker 7 died (SIGKILL) while idle", process="worker", pid=7)
    for pid in range(100, 400):
        marks = Marks(block, pid)
        marks.start()
        marks.stop(0)
    kinds = [kind for kind, _ in told(block)]
    assert kinds == ["death", *["start", "stop"] * ALONE]
    start, stop = read_events(block)[-2:]
    assert (start["pid"], start["number"], stop["number"]) == (399, 301 - ALONE, 301 - ALONE)
    assert re.fullmatch(rf"hvd \S+ stops; {301 - ALONE} times in \d+s", stop["text"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "__version__", "9.0")
        Marks(block, 400).start()
    assert [kind for kind, _ in told(block)][-2:] == ["start", "version"]
