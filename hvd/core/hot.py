"""The hot code in the form that is to be had: compiled (_hotrow.c), or in Python (hotrow.py)."""

from typing import TYPE_CHECKING

from hvd.core.latency import BOUNDS

if TYPE_CHECKING:
    from hvd.core.hotrow import HotRow, cumulate, sum_cells
else:
    try:
        from hvd.core import _hotrow
        from hvd.core._hotrow import HotRow, cumulate, sum_cells

        _hotrow.set_bounds(BOUNDS)
    except ImportError:
        from hvd.core.hotrow import HotRow, cumulate, sum_cells

__all__ = ["IS_COMPILED", "HotRow", "cumulate", "sum_cells"]

IS_COMPILED = HotRow.__module__ == "hvd.core._hotrow"
"""True where it is the compiled form."""
