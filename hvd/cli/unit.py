"""The systemd unit that a process belongs to, as systemctl(1) and journalctl(1) tell of it."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
ANSWERS = 5.0  # s that either program has


@dataclass(frozen=True)
class Unit:
    """A service. `is_users`: its manager is a user's, not the system's."""

    name: str
    is_users: bool = False

    def properties(self) -> dict[str, str]:
        """Type, NotifyAccess, MainPID, KillMode, ExecStop if it has one; empty where the manager is silent."""
        show = (*self._systemctl(), "show", "--property=Type,NotifyAccess,MainPID,KillMode,ExecStop", self.name)
        lines = _output(show).splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}

    def main_pid(self) -> int:
        """Which process the manager follows; 0 where that isn't known."""
        value = self.properties().get("MainPID", "")
        return int(value) if value.isdecimal() else 0

    def journal(self, since: float, lines: int) -> list[str]:
        """The last messages of the unit since that Unix time, as far as this user may read them."""
        which = "--user-unit" if self.is_users else "--unit"
        options = (f"--since=@{since:.0f}", f"--lines={lines}", "--output=cat", "--no-pager", "--quiet")
        return _output(("journalctl", which, self.name, *options)).splitlines()

    def _systemctl(self) -> tuple[str, ...]:
        return ("systemctl", "--user") if self.is_users else ("systemctl",)


def unit_of(pid: int) -> Unit | None:
    """The innermost service in whose control group the process is; None where it is in none."""
    try:
        groups = (PROC / str(pid) / "cgroup").read_text()
    except OSError:
        return None
    names = re.findall(r"[^/\n]+\.service", groups)
    is_users = re.fullmatch(r"user@\d+\.service", names[-2]) is not None if names[1:] else False
    return Unit(names[-1], is_users) if names else None


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWERS, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return ""
    return done.stdout if done.returncode == 0 else ""
