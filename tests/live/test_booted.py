"""The booted system of the tests itself, and what installs the tests' programs."""

import os
import subprocess

import pytest

from tests.support.booted import System
from tests.support.server import ROOT


@pytest.mark.timeout(600)
def test_files_outlive_a_reboot_and_memory_does_not() -> None:
    with System() as system:
        system.write("/etc/kept", "kept")
        system.write("/dev/shm/lost", "lost")
        system.reboot()
        assert system.out("cat /etc/kept; ls /dev/shm") == "kept"
        place = system._place
    assert not os.path.exists(place)


def test_programs_are_installed_only_where_somebody_said_so() -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("CI", "TEST_INSTALL")}
    command = ("sh", "tests/install-programs", "sh:dash", "no-such-program:no-such-package")
    done = subprocess.run(
        command, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "apt-get install no-such-package" in done.stderr
    assert "dash" not in done.stderr
