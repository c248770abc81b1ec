"""Rows in each form that the hot code has."""

import pytest

from hvd.core.block import Block
from hvd.core.rows import Rows
from tests.unit.core.support import FORMS, catalogue_of, own_rows


@pytest.fixture(params=FORMS.values(), ids=FORMS.keys())
def rows(block: Block, request: pytest.FixtureRequest) -> Rows:
    """The rows of a worker's slot that this process has: one for this thread, two for others, one shared."""
    catalogue_of(block).add_families()
    return own_rows(block, form=request.param)
