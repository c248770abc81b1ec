"""Ids of jobs: UUIDs of version 7, whose text sorts by the time of their making (RFC 9562, section 5.7)."""

import os
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new_id(micros: int | None = None) -> str:
    """A new UUIDv7 as text: above every earlier one of this process, unique among all. Thread-safe.

    `micros` is the time that it is of, µs since the Unix epoch; the wall clock's where none is given. The twelve
    bits after the milliseconds hold the fraction of the millisecond (section 6.2, method 3).

    """
    global _last
    with _lock:
        milliseconds, rest = divmod(time.time_ns() if micros is None else micros * 1000, 1_000_000)
        _last = now = max(_last + 1, milliseconds << 12 | rest * 4096 // 1_000_000)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    number = (now >> 12) << 80 | 0x7 << 76 | (now & 0xFFF) << 64 | 0b10 << 62 | random
    return str(uuid.UUID(int=number))


def is_id(text: str) -> bool:
    """True for a UUID in the form that `new_id` gives."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def micros_of(name: str) -> int:
    """The end of the millisecond that an id is of, µs since the Unix epoch."""
    return (int(name[:8] + name[9:13], 16) + 1) * 1000
