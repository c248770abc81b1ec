"""The command line of a companion: whose it is, and which descriptors it inherits.

A list of processes shows it to everybody on the machine, so nothing secret is in it: see options.py.
"""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


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
