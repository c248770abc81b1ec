"""Changes of jobs, sent to the aggregator as they happen, for `job_update` messages.

A unix SEQPACKET pair that the master makes: workers and the runner write, the aggregator reads. Events only speed
things up: what finds no room is dropped, and the database, the counts and `recent_jobs` say the same a moment later.
"""

import contextlib
import json
import socket
from typing import Any

from hvd.metrics.companion_pages import RecentJob

PACKET = 128 * 1024  # bytes; a job's parameters are far below


def send(writers: socket.socket, job: RecentJob) -> None:
    """Send the job's present state, as `Job.as_recent` has it; never waits, never raises. Thread-safe."""
    packet = json.dumps(job, separators=(",", ":")).encode()
    with contextlib.suppress(OSError):
        writers.send(packet, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


def socket_pair() -> tuple[socket.socket, socket.socket]:
    """The writers' end and the reader's end, both non-blocking. Raises OSError."""
    writers, reader = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (writers, reader):
        end.setblocking(False)
    return writers, reader


def receive(reader: socket.socket) -> dict[str, Any] | None:
    """The next job that was sent; None if none is waiting, or the packet is none of ours.

    Raises EOFError once every writer's end is closed: the reader's end stays readable from then on.
    """
    try:
        packet = reader.recv(PACKET, socket.MSG_DONTWAIT)
        if not packet:
            raise EOFError("every writer's end of the event channel is closed")
        job = json.loads(packet)
    except (OSError, ValueError):
        return None
    return job if isinstance(job, dict) else None
