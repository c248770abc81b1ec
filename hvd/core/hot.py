"""The hot code in the form that is to be had: compiled (_hotrow.c), or in Python (hotrow.py)."""

from typing import TYPE_CHECKING

from hvd.core import layout as at
from hvd.core.latency import BOUNDS

if TYPE_CHECKING:
    from hvd.core.hotrow import HotRow, cumulate, sum_cells
else:
    try:
        from hvd.core import _hotrow
        from hvd.core._hotrow import HotRow, cumulate, sum_cells

        if (at.R_STARTED, at.R_FINISHED, at.R_ERRORS, at.R_BEGIN_NS, at.R_TEXT, at.TEXT_BYTES) != _hotrow.LAYOUT:
            raise ImportError("hvd.core._hotrow was compiled for another layout")
        _hotrow.set_bounds(BOUNDS)
    except ImportError:
        from hvd.core.hotrow import HotRow, cumulate, sum_cells

__all__ = ["IS_COMPILED", "HotRow", "cumulate", "sum_cells"]

IS_COMPILED = HotRow.__module__ == "hvd.core._hotrow"
"""True where it is the compiled form."""
