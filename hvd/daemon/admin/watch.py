"""The admin server's look at the service, several times a second: since when it is saturated, on the page for all."""

from collections.abc import Callable, Mapping
from typing import Any

from hvd.read.reading import BlockReader
from hvd.read.saturation import Saturation


class SaturationWatch:
    """One look at each call: some 0.2 ms. One thread uses it."""

    def __init__(self, reader: BlockReader, publish: Callable[[Mapping[str, Any]], None]) -> None:
        self._reader, self._publish = reader, publish
        self._saturation = Saturation()

    def __call__(self) -> None:
        self._publish(self._saturation.observe(self._reader.service(), self._reader.backlog()))
