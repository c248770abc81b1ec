"""File descriptors 0, 1 and 2: whatever prints writes to them, whatever they are.

A process that is started with one of them closed (`2>&-`, some supervisors) gives its number to the first file that it
opens: a log line would then be written over the block, or read from a client's connection.
"""

import os
import sys


def fill_standard() -> None:
    """Open /dev/null as whichever of standard input, output and error is closed; children get it too.

    To be called by a program before it opens anything. Raises OSError where /dev/null can't be opened.
    """
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:  # the interpreter found it closed
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
