"""What a daemon logs of itself at its start and its end."""

import logging
from collections.abc import Iterable

from hvd import __version__
from hvd.core import hot
from hvd.core.block import Block
from hvd.core.totals import Reader
from hvd.instrument import wsgi


def log_start(log: logging.Logger, block: Block, was_made: bool, listeners: Iterable[object]) -> None:
    """One line that says what runs here; and one of what was not compiled, since that is easily overlooked."""
    compiled = {"hvd.core._hotrow": hot.IS_COMPILED, "hvd.instrument._counting": wsgi.compiled is not None}
    log.info(
        "hvd %s: hot path %s, block %s%s, serving %s",
        __version__,
        ", ".join(f"{name} {'compiled' if there else 'in Python'}" for name, there in compiled.items()),
        block.path,
        "" if was_made else " (its totals go on)",
        ", ".join(map(str, listeners)),
    )
    if missing := [name for name, there in compiled.items() if not there]:
        log.warning(
            "hvd: %s can't be used: counting in Python is %s; to compile, install a C compiler and then hvd again",
            " and ".join(missing),
            hot.COST_OF_PYTHON,
        )


def log_end(log: logging.Logger, block: Block) -> None:
    """One line with the last totals."""
    heads = Reader(block).read().heads
    log.info(
        "hvd %s ends: %d requests finished, %d of them errors, %d aborted",
        *(__version__, heads.finished, heads.errors, heads.aborted),
    )
