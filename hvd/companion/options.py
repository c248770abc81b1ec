"""What a companion inherits from its master: names and numbers in its arguments, its options in a memory file.

A list of processes shows arguments to everybody on the machine, and they can't change: nothing secret is in them. At a
reload the master writes the options anew and sends SIGHUP.
"""

import argparse
import json
import os
import struct
import sys
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Self

BLOCK, OPTIONS, STACKS = "block", "options", "stacks"
"""Descriptors that every companion inherits."""

DESCRIPTOR = "/proc/self/fd/{}"
"""What a descriptor's file is called in each process that has it."""

_HEAD = struct.Struct("<II")  # length in bytes and CRC-32 of the text behind it
RETRIES, PAUSE = 20, 0.0005  # s; a write takes some microseconds, unless the master was stopped in the midst of it


@dataclass(frozen=True)
class Command:
    """The name of the block, the slot of the companion, the pid of its master, and descriptors by their names."""

    block: str
    slot: int
    master: int
    descriptors: Mapping[str, int]

    def arguments(self) -> list[str]:
        """As `parse` reads them."""
        descriptors = {f"{name}-fd": fd for name, fd in self.descriptors.items()}
        texts = {"name": self.block, "slot": self.slot, "master": self.master, **descriptors}
        return [text for name, value in texts.items() for text in (f"--{name}", str(value))]

    @classmethod
    def parse(cls, program: str, descriptors: Iterable[str], arguments: Sequence[str] | None = None) -> "Command":
        """Read the arguments of a program that needs these descriptors. Raises SystemExit where one is missing."""
        parser = argparse.ArgumentParser(prog=program, description="a companion, which the gunicorn master starts")
        parser.add_argument("--name", required=True, help="name of the block")
        for name in ("slot", "master"):
            parser.add_argument(f"--{name}", type=int, required=True)
        for name in descriptors:
            parser.add_argument(f"--{name}-fd", type=int, required=True, dest=f"fd_{name}")
        read = vars(parser.parse_args(arguments))
        return cls(read["name"], read["slot"], read["master"], {name: read[f"fd_{name}"] for name in descriptors})


def inherited_fds() -> list[int]:
    """The guard's code for a process that runs from an archive (hvd/daemon/code.py): nothing compiled."""
    prefix = DESCRIPTOR.format("")
    return [int(path.removeprefix(prefix)) for path in sys.path if path.startswith(prefix)]


@dataclass(frozen=True)
class Options:
    """Options of every companion. Each kind has a class of its own, with further fields."""

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
