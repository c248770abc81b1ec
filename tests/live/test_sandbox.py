"""A sandbox (seccomp(2)) that refuses what hvd can't do without: one clear error at the start, and nothing is left."""

import sys
from pathlib import Path

import pytest

from tests.support.server import Server

LAUNCHER = """
import ctypes, os, struct, sys
number, argument, *command = sys.argv[1:]
rule = lambda *parts: struct.pack("HBBI", *parts)
program = b"".join([
    rule(0x20, 0, 0, 0),  # the call's number
    rule(0x15, 0, 3, int(number)),
    rule(0x20, 0, 0, 16),  # its first argument
    rule(0x15, 0, 1, int(argument)) if int(argument) >= 0 else rule(0x05, 0, 0, 0),
    rule(0x06, 0, 0, 0x00050000 | 1),  # EPERM
    rule(0x06, 0, 0, 0x7FFF0000),  # allowed
])
kept = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(kept))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0  # no new privileges
assert libc.prctl(22, 2, ctypes.create_string_buffer(filter), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execvp(command[0], command)
"""
"""Executes a command under a filter by which one system call of x86-64, with that first argument, is refused."""

REFUSED = {
    "pidfd_open(2) does not work here (": (434, -1),
    "pidfd_send_signal(2) does not work here (": (424, -1),
    "prctl(2) does not work here (": (157, 1),
    "no abstract unix socket can be bound (": (49, -1),
}
"""Numbers of calls of x86-64, with their first argument if it matters."""


@pytest.mark.parametrize("call", REFUSED)
def test_a_call_that_is_refused_is_named_at_the_start(tmp_path: Path, call: str) -> None:
    """Of prctl only the part that is needed: PR_SET_PDEATHSIG, the first."""
    server = Server(tmp_path, workers=1)
    server.command = [sys.executable, "-c", LAUNCHER, *map(str, REFUSED[call]), *server.command]
    line = server.refusal()
    assert line.startswith(f"hvd: {call}")
    assert "Operation not permitted): hvd needs " in line
