"""Events of the daemon itself that a master writes: start, stop, reloads, upgrades."""

import platform
import time

import gunicorn

from hvd import __version__
from hvd.core.beats import beats
from hvd.core.block import Block
from hvd.metrics.events import EventKind, EventWriter, last_like, open_alerts, read_events, write_again
from hvd.texts import duration

ALONE = 4  # starts, stops or reloads of an hour that get an event each, see last_like
REPEATED = {"start", "stop", "reload"}
ON = f"gunicorn {gunicorn.__version__}, Python {platform.python_version()}"


class Marks:
    """One master's. Used in its main thread; nothing here waits."""

    def __init__(self, block: Block, pid: int) -> None:
        self._block, self._pid = block, pid
        self.writer = EventWriter(block)
        self._has_stopped = False

    def _write(self, kind: EventKind, text: str, *, before: str | None = None) -> None:
        if last := last_like(self._block, ALONE, kind, version=__version__) if kind in REPEATED else None:
            number, span = last.get("number", 1) + 1, duration(time.time() - last["time"], 2)
            if write_again(self._block, last, f"{text}; {number} times in {span}", pid=self._pid):
                return
        more = {"before": before} if before else {}
        self.writer.write(kind, text, pid=self._pid, version=__version__, **more)

    def _version(self) -> str | None:
        """Which hvd the daemon was before this master; None where nothing says it."""
        versions = (event.get("version") for event in reversed(read_events(self._block)))
        return next(filter(None, versions), None)

    def start(self, how: str = "") -> None:
        """It listens; `how` says what is special about that."""
        before = self._version()
        self._close_alert("ended")
        self._write("start", f"hvd {__version__} has started ({ON}){how}")
        if before not in (None, __version__):
            self._write("version", f"hvd is {__version__} now, and was {before} before this start", before=before)

    def upgrade(self, old: int) -> None:
        """It listens, beside the master with that pid, which has started it (USR2)."""
        before = self._version()
        change = f"hvd {before} to hvd {__version__}" if before != __version__ else f"hvd {__version__} to the same"
        text = f"upgrade from {change} ({ON}): master {self._pid} serves beside master {old}"
        self._write("upgrade", text, before=before)

    def upgrade_over(self, new: int, cause: str) -> None:
        """The master with that pid, by which this one was to be replaced, has ended; this one goes on."""
        begun = [event for event in read_events(self._block) if (event["kind"], event.get("pid")) == ("upgrade", new)]
        before = begun[-1].get("version") if begun else None
        what = f"gone back on: master {new} (hvd {before}) has ended" if begun else f"failed: master {new} ended"
        text = f"upgrade {what} ({cause}), hvd {__version__} goes on as master {self._pid}"
        self._write("upgrade", text, before=before)

    def reload(self, trouble: str) -> None:
        """HUP; the `trouble` with its settings, "" where there is none."""
        text = f"goes on with the settings in force: {trouble}" if trouble else "has read its settings again"
        self._write("reload", f"reload: hvd {text}; workers are replaced")

    def stop(self, successor: int) -> None:
        """It stops, and the daemon with it unless another master goes on: `successor` is one that only begins, or 0."""
        others = [beat for beat in beats(self._block) if beat.pid != self._pid and not beat.is_ending]
        if not (self._has_stopped or others or successor):
            self._close_alert("stopped")
            self._write("stop", f"hvd {__version__} stops")
        self._has_stopped = True

    def _close_alert(self, how: str) -> None:
        """End open alerts: they were of a daemon that has ended."""
        if alerts := open_alerts(self._block):
            seconds = max(0.0, round(time.time() - alerts[0]["time"], 3))
            text = f"{alerts[-1].get('state')} until hvd {how}, for {duration(seconds, 2)}"
            self.writer.write("alert_over", text, seconds=seconds)
