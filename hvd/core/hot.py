"""The hot code: compiled (_hotrow.c) where that could be built, else in Python (hotrow.py)."""

import platform
from typing import TYPE_CHECKING

from hvd.core import amounts, layout, limits
from hvd.core.durations import BOUNDS

_LAYOUT = (
    *(layout.R_STARTED, layout.R_FINISHED, layout.R_ABORTED, layout.R_ERRORS, layout.R_BEGIN_NS, layout.R_BUSY),
    *(layout.R_SERVER_ERRORS, layout.R_TEXT, layout.TEXT_BYTES, layout.HEAD_CELLS, layout.S_SHARED, layout.S_ENTRIES),
    *(layout.ENTRY_CELLS, layout.E_THREAD, layout.E_TEXT, amounts.POWERS, amounts.AMOUNT_CELLS),
    limits.SERVER_ERROR,
)

if TYPE_CHECKING:
    from hvd.core.hotentry import Sharing
    from hvd.core.hotrow import HotRow, cumulate, fence, sum_rows
else:
    try:
        from hvd.core import _hotrow
        from hvd.core._hotrow import HotRow, Sharing, cumulate, fence, sum_rows

        if _LAYOUT != _hotrow.LAYOUT:
            raise ImportError("hvd.core._hotrow was compiled for another layout")
        _hotrow.set_bounds(BOUNDS)
    except ImportError:
        from hvd.core.hotentry import Sharing
        from hvd.core.hotrow import HotRow, cumulate, fence, sum_rows

__all__ = ["COST_OF_PYTHON", "IS_COMPILED", "KEEPS_ORDER", "HotRow", "Sharing", "cumulate", "fence", "sum_rows"]

IS_COMPILED = HotRow.__module__ == "hvd.core._hotrow"
"""True where the compiled form is used."""

KEEPS_ORDER = IS_COMPILED or platform.machine() in ("x86_64", "AMD64")
"""True where readers see stores in the order in which they were made; see hotrow.py."""

COST_OF_PYTHON = (
    "as exact, and slower"
    if KEEPS_ORDER
    else f"slower, and on {platform.machine()} a figure may be wrong for a moment by a request in progress"
)
"""What it costs that nothing is compiled: a clause for the log."""
