"""The hot code of own metrics: compiled (_own.c) where that could be built, else in Python (places.py, sums.py)."""

from hvd.core.own.places import CounterPlace, GaugePlace, HistogramPlace, Place, SummaryPlace, Target
from hvd.core.own.sums import Sums

__all__ = ["CounterPlace", "GaugePlace", "HistogramPlace", "Place", "SummaryPlace", "Sums", "Target"]
