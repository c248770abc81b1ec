"""`hvd upgrade`: a new master beside the old one, of the version on the disk; then the old one ends, or the new one."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TextIO

from hvd.cli.arguments import Exit, instance, seconds
from hvd.cli.client import exchange
from hvd.cli.daemons import Daemon, daemon_named, running_daemons
from hvd.cli.master_process import MasterProcess, executed_by
from hvd.cli.target import names
from hvd.cli.unit import Unit, unit_of
from hvd.core import layout
from hvd.core.beats import beats
from hvd.core.block import DIRECTORY, Block, attach
from hvd.core.locks import take_upgrade
from hvd.core.slots import Slots
from hvd.core.totals import Reader
from hvd.errors import BlockError, DaemonRefused, DaemonsAmbiguous, DaemonUnreachable
from hvd.settings.loader import load
from hvd.settings.variables import environment
from hvd.texts import UNKNOWN, count, plain

CHECK = "import hvd, hvd.settings.loader as loader; loader.load_or_exit(); print(hvd.__version__)"
"""What the version on the disk says of the settings, and of itself."""

READY = 60.0  # s that a new master has to get ready, unless --wait says otherwise
FOLLOWED = 10.0  # s in which systemd follows it
BACK = 45.0  # s that a new master has for its requests when it goes again, before it is killed: above graceful_timeout
OLD_ENDS = 600.0  # s that are waited for the old one, which keeps to its own graceful_timeout
ANSWER = 5.0  # s that an admin server has for an answer
PAUSE = 0.05
FORKS = 5.0  # s in which a master that has got USR2 forks, where it is to be undone
REMIND = 10.0  # s between two lines of progress
LOG_LINES = 30  # of a new master that failed: tracebacks of several workers may end in one that was cut off

_EPILOG = """\
Files of a new version are installed first, by pip or as they came. Then this checks the settings with it, has the
master start a new one beside itself (USR2), waits until that one is ready and answers, and ends the old one (TERM).
Requests, totals and history go on. A new one that does not get ready is ended, and the old one serves on: exit code 1.
Ctrl-C goes back as well, until the old one has been told to end. Run it as root, or as the daemon's user.

exit codes: 0 upgraded, 1 it went back, or no daemon runs, 2 wrong settings, 5 refused: the message says why"""


class WentWrong(Exception):  # noqa: N818
    """The new master can't take over, for this reason."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Those of this command."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = _EPILOG
    command.add_argument(
        "--instance",
        type=instance,
        metavar="NAME",
        help="the daemon of that name (default: that of the settings, or the only one that runs)",
    )
    command.add_argument(
        "--wait",
        type=seconds,
        default=READY,
        metavar="S",
        help=f"seconds that the new master has to get ready (default: {READY:g})",
    )


def run(args: argparse.Namespace) -> int:
    """Upgrade; UNREACHABLE where it went back.

    Raises DaemonUnreachable, DaemonsAmbiguous, DaemonRefused and SettingsError, having changed nothing.
    """
    for signum in (signal.SIGTERM, signal.SIGHUP):  # a session that ends must not leave two masters
        signal.signal(signum, signal.default_int_handler)
    daemon = target_daemon(args.instance)
    upgrade = Upgrade(daemon, args.wait)
    upgrade.check()
    return upgrade.run()


def target_daemon(name: str | None) -> Daemon:
    """The daemon of that name; without one that of the settings, or the only one that runs. Raises as `run`."""
    daemons = running_daemons()
    loaded = None if name else load()
    if loaded and any(loaded.sources[key] != "default" for key in ("bind", "instance")):
        name = loaded.settings.instance
    if name is None and len(daemons) > 1:
        raise DaemonsAmbiguous(f"{len(daemons)} daemons run: choose one by --instance: {names(daemons)}")
    daemon = daemon_named(daemons, name) if name else next(iter(daemons), None)
    if daemon:
        return daemon
    others = f"these run: {names(daemons)}" if daemons else "none of this user runs"
    raise DaemonUnreachable(f"no daemon {'runs here' if name is None else f'of the name {plain(name)} runs'}: {others}")


class Upgrade:
    """One upgrade of a daemon. Used by one thread."""

    def __init__(self, daemon: Daemon, wait: float) -> None:
        """Raises DaemonRefused where it can't be."""
        self._daemon, self._wait = daemon, wait
        self._old = MasterProcess.of(daemon.block.masters[0])
        self._new: MasterProcess | None = None
        self.block = _open(daemon)
        self._unit = self._unit_that_follows()
        self._began, self._began_unix = time.monotonic(), time.time()
        self._log_size = self._old.log_size()
        self._from = self._to = UNKNOWN
        self._has_asked = False

    def _unit_that_follows(self) -> Unit | None:
        """The unit that ends with the old master, unless it gets to know of the new one."""
        unit = unit_of(self._old.pid)
        properties = unit.properties() if unit else {}
        if unit is None or properties.get("MainPID") != str(self._old.pid) or properties.get("Type") == "forking":
            return None
        if properties.get("NotifyAccess") != "all":
            raise _refusal(
                f"{unit.name} would end with the old master, as it has NotifyAccess={properties.get('NotifyAccess')}: "
                "it needs Type=notify and NotifyAccess=all, as hvd's own unit has (hvd deploy systemd); "
                "then systemctl daemon-reload"
            )
        if properties.get("KillMode") in ("mixed", "process") and not properties.get("ExecStop"):
            raise _refusal(
                f"{unit.name} would kill the new master at once at its next stop, as it has no ExecStop= that waits "
                "for it: it needs those of hvd's own unit (hvd deploy systemd); then systemctl daemon-reload"
            )
        return unit

    def check(self) -> None:
        """Raises DaemonRefused where an upgrade is under way, or can't be; SystemExit where the settings are wrong."""
        old, masters = self._old, self._daemon.block.masters
        if old.user != self._daemon.block.user:
            raise _refusal(f"process {old.pid}, which the block names as master, is another user's")
        if old.is_stopped:
            raise _refusal(f"master {old.pid} is stopped: kill -CONT {old.pid}")
        if old.is_first_of_container:
            raise _refusal(f"master {old.pid} is the first process of its container, which ends with it: replace that")
        if not take_upgrade(self.block.fd):
            raise _refusal("another `hvd upgrade` of this daemon is under way: wait for its end")
        if len(masters) > 1 or any(old.successors()):
            newer = next((pid for pid in (*masters, *old.successors()) if pid != old.pid), 0)
            raise _refusal(
                f"two masters run, {old.pid} and {newer}: an upgrade is under way; kill -TERM the one that is to go"
            )
        self._check_settings()

    def _check_settings(self) -> None:
        python = next(filter(None, map(executed_by, self._companions(self._old.pid))), sys.executable)
        environ = self._old.environ() or dict(environment())
        command = (python, "-c", CHECK)
        try:
            status, output, complaints = self._old.run(command, environ, self._wait)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _refusal(f"the version on the disk can't be run by {python}: {error}") from None
        if status:
            print("\n".join(plain(line, most=2000) for line in complaints.splitlines()), file=sys.stderr)
            print("hvd: the settings are wrong for the version on the disk: nothing was changed", file=sys.stderr)
            raise SystemExit(Exit.WRONG)
        self._to = plain(output.strip(), most=40)
        self._from = self._version() or UNKNOWN

    def _companions(self, master: int) -> list[int]:
        return [
            slot.pid
            for slot in Slots(self.block).taken()
            if slot.kind == layout.KIND_AGGREGATOR and slot.master == master and slot.pid
        ]

    def run(self) -> int:
        """Do it. -> UNREACHABLE where it went back, INTERRUPTED where Ctrl-C had it do that."""
        before, old = self._finished(), self._old.pid
        try:
            _say(f"{self._daemon.instance}: hvd {self._from} (master {old}); settings are right for {self._to}")
            self._has_asked = True
            self._old.send(signal.SIGUSR2)
            self._wait_ready()
            self._old.send(signal.SIGTERM)
        except KeyboardInterrupt:
            return self._go_back("interrupted", Exit.INTERRUPTED)
        except Exception as error:  # of any kind: two masters must not be left
            return self._go_back(str(error), Exit.UNREACHABLE)
        return self._wait_for_end(before)

    def _wait_ready(self) -> None:
        """Raises WentWrong."""
        self._until(self._find_new, self._wait, "started")
        new = self._new_master()
        _say(f"new master {new.pid} is starting")
        self._until(lambda: self._is_ready(new), self._wait, "got ready")
        self._until(self._answers, FOLLOWED, "answered at the admin address")
        if self._unit:
            unit = self._unit
            self._until(lambda: unit.main_pid() == new.pid, FOLLOWED, f"become the main process of {unit.name}")
        _say(f"new master {new.pid} is ready after {self._elapsed:.1f} s, hvd {self._to}")

    def _find_new(self) -> bool:
        self._new = next(map(MasterProcess.of, self._old.successors()), None)
        return self._new is not None

    def _new_master(self) -> MasterProcess:
        assert self._new
        return self._new

    def _is_ready(self, new: MasterProcess) -> bool:
        return any(beat.pid == new.pid and beat.ready_ns for beat in beats(self.block))

    def _answers(self) -> bool:
        """Whether it is the new version that answers at the admin address; True where there is no address."""
        return not self._daemon.admin or self._version() in (UNKNOWN, self._to)

    def _version(self) -> str:
        """What the admin server says; UNKNOWN where it doesn't tell us, "" where none answers."""
        for address in self._daemon.admin:
            with contextlib.suppress(DaemonUnreachable):
                return plain((exchange(address, "GET", "/health", ANSWER).fields or {}).get("version"), most=40)
        return ""

    def _until(self, condition: Callable[[], bool], limit: float, what: str) -> None:
        """Wait for it. Raises WentWrong after `limit` s, or where the new master has ended."""
        deadline = time.monotonic() + limit
        while not condition():
            if self._new and not self._new.is_alive:
                raise WentWrong(f"the new master {self._new.pid} has ended")
            if not self._new and not self._old.is_alive:
                raise WentWrong("the old master has ended by itself")
            if time.monotonic() > deadline:
                raise WentWrong(f"the new master has not {what} within {limit:g} s")
            time.sleep(PAUSE)

    def _go_back(self, reason: str, code: Exit) -> int:
        """End the new master, and say how it is then."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        lines = self._log_lines()
        self._find_late()
        if self._new and self._new.is_alive:
            _say(f"{reason}: going back, new master {self._new.pid} ends")
            self._end(self._new)
        for line in lines:
            _say(f"  | {plain(line)}")
        if not self._old.is_alive:
            _say(f"hvd: {reason}; no master {self._old.pid} is there to go back to", sys.stderr)
        else:
            _say(f"hvd: {reason}; went back: hvd {self._from} (master {self._old.pid}) serves on", sys.stderr)
        return code

    def _find_late(self) -> None:
        """One that only comes now must not stay either."""
        deadline = time.monotonic() + FORKS
        while self._has_asked and not self._new and self._old.is_alive and time.monotonic() < deadline:
            if not self._find_new():
                time.sleep(PAUSE)

    def _end(self, new: MasterProcess) -> None:
        for signum, limit in ((signal.SIGTERM, BACK), (signal.SIGKILL, FOLLOWED)):
            deadline = time.monotonic() + limit
            new.send(signum)
            while new.is_alive and not new.is_stopped and time.monotonic() < deadline:
                time.sleep(PAUSE)

    def _log_lines(self) -> list[str]:
        """What the daemon has logged since the upgrade began, its end."""
        lines = self._old.log_since(self._log_size)
        if not lines and (unit := unit_of(self._old.pid)):
            lines = unit.journal(self._began_unix, 50)
        telling = [line for line in lines if "[INFO]" not in line and line.strip()]
        return telling[-LOG_LINES:]

    def _wait_for_end(self, before: int) -> int:
        new = self._new_master()
        deadline, reminded = time.monotonic() + OLD_ENDS, time.monotonic()
        try:
            while self._old.is_alive and time.monotonic() < deadline:
                if time.monotonic() - reminded > REMIND:
                    reminded = time.monotonic()
                    _say(f"old master {self._old.pid} still ends its requests and jobs")
                time.sleep(PAUSE)
        except KeyboardInterrupt:
            _say(f"hvd: not waited for: new master {new.pid} serves, the old one ends by itself", sys.stderr)
            return Exit.INTERRUPTED
        if self._old.is_alive:
            _say(f"hvd: new master {new.pid} serves, but {self._old.pid} does not end: kill -KILL it", sys.stderr)
            return Exit.UNREACHABLE
        after, spent = self._finished(), self._elapsed
        _say(f"upgraded from hvd {self._from} to {self._to} in {spent:.1f} s: master {new.pid}")
        _say(f"requests finished: {count(before)} before, {count(after)} now")
        return Exit.OK

    def _finished(self) -> int:
        return Reader(self.block).read().heads.finished

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def _open(daemon: Daemon) -> Block:
    name, fd = daemon.block.name, -1
    try:
        fd = os.open(DIRECTORY / name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        return attach(fd, name)
    except OSError as error:
        raise _refusal(f"its block {name} can't be opened ({error.strerror}): run this as the daemon's user") from None
    except BlockError as error:
        os.close(fd)
        raise _refusal(f"{error}; versions with different formats can't share a block: restart the daemon") from None


def _refusal(why: str) -> DaemonRefused:
    return DaemonRefused(f"no upgrade: {why}", 0)


def _say(line: str, to: TextIO | None = None) -> None:
    """A terminal that is gone must not end the upgrade halfway."""
    with contextlib.suppress(OSError):
        print(line, file=to or sys.stdout, flush=True)
