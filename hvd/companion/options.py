"""Options of a companion: what its master tells it, in a memory file that it inherits.

Arguments would show passwords in a list of processes, and could not change. At a reload the master writes the file anew
and sends SIGHUP.
"""

import json
import os
import struct
import time
import zlib
from dataclasses import asdict, dataclass
from typing import Self

_HEAD = struct.Struct("<II")  # length in bytes and CRC-32 of the text behind it
RETRIES, PAUSE = 20, 0.0005  # s; a write takes some microseconds, unless the master was stopped in the midst of it


@dataclass(frozen=True)
class Options:
    """What every companion is told. Each has a class of its own, with further fields."""

    log_level: str

    @property
    def descriptors(self) -> int:
        """How many files and sockets the companion may have open with these options."""
        raise NotImplementedError

    def to_json(self) -> str:
        """As `from_json` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` has made."""
        return cls(**json.loads(text))


class OptionsFile:
    """A memory file with the options of one companion. The master alone writes it; any process that has it reads it."""

    def __init__(self, fd: int | None = None) -> None:
        """A new file, or the one behind an inherited descriptor. Raises OSError where there can't be one."""
        self.fd = os.memfd_create("hvd-options") if fd is None else fd

    def write(self, options: Options) -> None:
        """Put these options in the place of those before. Raises OSError where no memory is left."""
        text = options.to_json().encode()
        os.pwrite(self.fd, _HEAD.pack(len(text), zlib.crc32(text)) + text, 0)

    def read(self) -> str:
        """The JSON of what was written last. Raises ValueError where the master stands still while it writes."""
        for _ in range(RETRIES):
            data = os.pread(self.fd, os.fstat(self.fd).st_size, 0)
            if len(data) >= _HEAD.size:
                length, checksum = _HEAD.unpack_from(data)
                text = data[_HEAD.size : _HEAD.size + length]
                if len(text) == length and zlib.crc32(text) == checksum:
                    return text.decode()
            time.sleep(PAUSE)
        raise ValueError("the master has not written the options yet")
