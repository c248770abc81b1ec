"""Which of two companions of a kind works."""

import os
import time

import pytest

from hvd.companion.succession import LATE, has_newer
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots
from tests.unit.core.support import standing


def claimed(block: Block, master: int, kind: int = layout.KIND_ADMIN_SERVER) -> int:
    return Slots(block).claim(kind, master, os.getpid())


def test_a_single_one_answers(block: Block) -> None:
    """And its own signs of life don't stop it, nor those of an earlier one of the same master."""
    own, other = claimed(block, os.getpid()), claimed(block, os.getpid())
    Slots(block).beat(own)
    Slots(block).beat(other)
    assert not has_newer(block, own)


def test_the_newer_master_s_answers_while_it_gives_signs_of_life(block: Block) -> None:
    """The older one stands back from the first sign on, and goes on once there is none for some time."""
    with standing(lambda: None) as newer:
        own, other = claimed(block, os.getpid()), claimed(block, newer)
        assert not has_newer(block, own), "it does not answer yet"
        Slots(block).beat(other)
        assert has_newer(block, own)
        assert not has_newer(block, other)
        block.cells[block.layout.slot_cell(other) + layout.S_HEARTBEAT_NS] = time.monotonic_ns() - int((LATE + 1) * 1e9)
        assert not has_newer(block, own), "it is stuck"
        Slots(block).beat(other)
        Slots(block).free(other)
        assert not has_newer(block, own), "it is gone"


@pytest.mark.parametrize("kind", [layout.KIND_AGGREGATOR, layout.KIND_JOB_RUNNER])
def test_other_companions_are_no_admin_servers(block: Block, kind: int) -> None:
    """Whatever they do."""
    with standing(lambda: None) as newer:
        own, other = claimed(block, os.getpid()), claimed(block, newer, kind)
        Slots(block).beat(other)
        assert not has_newer(block, own)
