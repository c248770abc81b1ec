"""ctypes takes no standard descriptor, whichever libffi it brings."""

import subprocess
import sys


def test_what_it_brings_never_is_a_standard_descriptor() -> None:
    """In a process that is started with all three closed."""
    code = (
        "import os, sys, hvd.core.libc\n"
        "sys.exit([os.readlink(f'/proc/self/fd/{number}') for number in range(3)] != [os.devnull] * 3)"
    )
    shell = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(shell, timeout=60, check=False).returncode == 0
