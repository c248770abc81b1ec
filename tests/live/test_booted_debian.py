"""The Debian package in booted systems of both Debians that hvd supports, from its installation to its purge."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.booted import System
from tests.support.debian import package
from tests.support.http import Connection, Load
from tests.support.waiting import until

ADDRESS = ("127.0.0.1", 8080)
NEXT = "99.0"

pytestmark = [
    pytest.mark.skipif(shutil.which("debootstrap") is None or os.geteuid() != 0, reason="needs debootstrap, as root"),
    pytest.mark.timeout(900),
]


def next_version(file: Path, folder: Path) -> None:
    """The same package in `folder`, with a higher version, of which the daemon tells."""
    tree = folder / "tree"
    subprocess.run(("dpkg-deb", "--raw-extract", file, tree), check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub("^Version: .*", f"Version: {NEXT}", control.read_text(), flags=re.MULTILINE))
    (init,) = tree.glob("usr/lib/hvd/lib/python3*/site-packages/hvd/__init__.py")
    init.write_text(re.sub('__version__ = ".*"', f'__version__ = "{NEXT}"', init.read_text()))
    subprocess.run(("dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", tree, folder), check=True)
    shutil.rmtree(tree)


def status(system: System) -> dict[str, object]:
    with system.network(), Connection(ADDRESS) as connection:
        answer: dict[str, object] = connection.get("/status").json()
    return answer


@pytest.mark.long(90)
@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
def test_the_package_from_installation_to_purge(suite: str, tmp_path: Path) -> None:
    """It serves when it is installed; an upgrade under load loses nothing; a purge leaves nothing but the user."""
    shutil.copy(file := package(suite), tmp_path)
    next_version(file, tmp_path)
    if suite == "bookworm":
        passes("lintian", "--fail-on", "error", "--allow-root", str(tmp_path / file.name))
    with System(suite, {tmp_path: "/packages"}, has_wheels=False) as system:
        system.run("dpkg --install /packages/hvd_0*.deb")
        until(lambda: system.run("hvd status --probe", check=False).returncode == 0, "it serves", 30)
        assert status(system)["hot_path"] == "C"
        assert system.out("stat --format %U /proc/$(systemctl show --value --property MainPID hvd)") == "hvd"
        assert system.out("systemctl is-enabled hvd") == "enabled"
        system.run("test -f $(systemctl show --value --property Documentation hvd | sed s/^file://)")
        system.run("echo '#mine' >>/etc/hvd/hvd.toml")
        with system.network(), Load(ADDRESS, ["/health", "/metrics"], clients=2, pause=0.01) as load:
            until(lambda: requests(system) > 100, "clients are served")
            before = requests(system)
            done = system.run(f"dpkg --install /packages/hvd_{NEXT}*.deb", seconds=120)
            assert "serves on" not in done.stderr
            assert status(system)["version"] == NEXT
        assert not load.tally.failed
        assert {code for _, code in load.tally.received} == {200}
        assert requests(system) >= before
        assert system.out("tail -n 1 /etc/hvd/hvd.toml") == "#mine"
        # Under cgroup v1 in a container, systemd waits for no main process that was once another's child: it kills it.
        system.run("systemctl restart hvd")
        system.run("dpkg --remove hvd")
        assert system.run("systemctl is-active hvd", check=False).stdout.strip() == "inactive"
        assert system.out("ls -d /usr/lib/hvd /etc/hvd /var/lib/hvd 2>/dev/null || true") == "/etc/hvd\n/var/lib/hvd"
        system.run("dpkg --purge hvd")
        assert system.out("ls -d /usr/lib/hvd /etc/hvd /var/lib/hvd /run/hvd /dev/shm/*hvd* 2>/dev/null || true") == ""
        assert system.out("systemctl --failed --no-legend --plain") == ""


def requests(system: System) -> int:
    """hvd's own count."""
    with system.network(), Connection(ADDRESS) as connection:
        count: int = connection.get("/api/v1/snapshot").json()["http_requests"]
    return count


def passes(*command: str) -> None:
    """The command succeeds, or what it says fails the test."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
