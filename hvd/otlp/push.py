"""One push: the figures of now, read, translated and sent piece by piece, in a thread of its own.

All counts are cumulative, so what could not be sent is not kept: the next push has it too. Memory holds one reading and
one piece, however long the receiver is away.
"""

import threading
import time
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from hvd.export.clashes import Clashes, names_of_all
from hvd.metrics.table import METRICS
from hvd.otlp.options import ExporterOptions
from hvd.read.reading import BlockReader

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import Metric

    from hvd.otlp.receiver import Receiver

_CLASHES = Clashes(names_of_all(METRICS))

PIECE = 2 * 2**20
"""Bytes that are sent at once, more or less: a gRPC server takes 4 MiB unless it is told otherwise."""


class Push(threading.Thread):
    """A push. Once it has ended, `trouble` says why it failed, "" where it did not; `refused` what was thrown away;
    `wait` for how many seconds the receiver wants nothing more.
    """

    def __init__(
        self, reader: BlockReader, options: ExporterOptions, receiver: "Receiver | None", ended: Callable[[], None]
    ) -> None:
        """A receiver that is None is made; `ended` is called in the thread."""
        super().__init__(name="push", daemon=True)
        self._reader, self._options, self._ended = reader, options, ended
        self.receiver = receiver
        self.trouble = self.refused = ""
        self.wait = 0.0
        self.began = self._piece_began = time.monotonic()

    @property
    def stands_for(self) -> float:
        """Seconds since the piece began that is being sent."""
        return time.monotonic() - self._piece_began

    def run(self) -> None:
        """Send all. Never raises."""
        try:
            self._send()
        except Exception as error:  # as a library that isn't installed any more, or a block that is damaged
            self.trouble = f"metrics can't be sent: {str(error) or type(error).__name__}"
        self._ended()

    def _send(self) -> None:
        from hvd.export.otlp.points import split  # not before: these are 30 MB, and most of a second
        from hvd.otlp.receiver import NotAccepted, Receiver

        receiver = self.receiver = self.receiver or Receiver(self._options)
        deadline = self.began + self._options.timeout
        for piece in split(self._metrics(receiver), PIECE):
            self._piece_began = time.monotonic()
            try:
                receiver.send(piece)
            except NotAccepted as error:  # another piece may be acceptable, but not all are given their time
                self.trouble = f"{self._options.endpoint} does not take metrics: {error}"
                self.wait = receiver.wait
                if self.wait or time.monotonic() >= deadline:
                    return
        self.refused = receiver.take_refused()

    def _metrics(self, receiver: "Receiver") -> "Iterator[Metric]":
        from hvd.export.otlp import own, service

        reader, options = self._reader, self._options
        figures = reader.read(own=True).figures(
            reader.series_limits(), options.gunicorn, options.kinds, reader.own_limit
        )
        families, figures = _CLASHES.visible_families(figures)
        return chain(service.metrics_of(figures), own.metrics_of(families, figures.totals.time_ns, receiver.starts))
