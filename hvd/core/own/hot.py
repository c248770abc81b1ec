"""The hot code of own metrics: compiled (_own.c) where that could be built, else in Python (places.py, sums.py)."""

from typing import TYPE_CHECKING

from hvd.core import layout
from hvd.core.own import definition, logarithmic, sums

_LAYOUT = (
    *(layout.H_EPOCH, layout.PAGE_CELLS),
    *(definition.INT, definition.FLOAT, definition.VALUE, definition.STAMP, definition.TIME),
    *(logarithmic.LOWEST, logarithmic.HIGHEST, logarithmic.PER_OCTAVE, sums.SLACK, sums.FIRST),
)

if TYPE_CHECKING:
    from hvd.core.own.places import Cell, CounterPlace, GaugePlace, HistogramPlace, Place, SummaryPlace, Target
    from hvd.core.own.sums import Sums, counts_text, gauge_samples, gauge_values
else:
    try:
        from hvd.core.own import _own
        from hvd.core.own._own import (
            Cell,
            CounterPlace,
            GaugePlace,
            HistogramPlace,
            Place,
            SummaryPlace,
            Sums,
            Target,
            counts_text,
            gauge_samples,
            gauge_values,
        )

        if _LAYOUT != _own.LAYOUT:
            raise ImportError("hvd.core.own._own was compiled for another layout")
        _own.set_thresholds(logarithmic.THRESHOLDS)
    except ImportError:
        from hvd.core.own.places import Cell, CounterPlace, GaugePlace, HistogramPlace, Place, SummaryPlace, Target
        from hvd.core.own.sums import Sums, counts_text, gauge_samples, gauge_values

__all__ = [
    "IS_COMPILED",
    "Cell",
    "CounterPlace",
    "GaugePlace",
    "HistogramPlace",
    "Place",
    "SummaryPlace",
    "Sums",
    "Target",
    "counts_text",
    "gauge_samples",
    "gauge_values",
]

IS_COMPILED = Place.__module__ == "hvd.core.own._own"
"""True where the compiled form is used."""
