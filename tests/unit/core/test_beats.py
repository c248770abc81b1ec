"""Which masters live, turn, are ready and lead: as their records in the header say."""

import os
import time

from hvd.core import layout
from hvd.core.beats import Beat, OwnBeat, beats, has_been_overtaken, leads
from hvd.core.block import Block
from tests.unit.core.support import ended, fork


def test_the_master_leads_that_was_ready_last_and_lives(block: Block) -> None:
    """Alone it leads in any case; a master of an older hvd has no record, and what another left there isn't its."""
    own, parent = os.getpid(), os.getppid()
    block.add_master(own)
    assert beats(block) == [Beat(own)]
    assert leads(block, own)
    mine, other = OwnBeat(block, own), OwnBeat(block, parent)
    block.add_master(parent)
    assert not leads(block, own), "nobody is ready"
    mine.say_ready()
    assert leads(block, own)
    assert not leads(block, parent)
    other.turn()
    assert not leads(block, parent)
    other.say_ready()
    assert (leads(block, own), leads(block, parent)) == (False, True)
    first, second = beats(block)
    assert 0 < first.ready_ns <= first.turned_ns <= second.ready_ns <= second.turned_ns <= time.monotonic_ns()
    other.end()
    assert beats(block)[1] == Beat(parent, is_ending=True), "nobody waits for its loop, nor follows it"
    assert leads(block, own)
    mine.end()
    other.turn()
    assert leads(block, parent), "though it is not ready: the other one ends"
    mine.say_ready()
    block.cells[layout.H_BEATS] = own + 1
    assert beats(block)[0] == Beat(own)


def test_a_master_that_is_gone_leads_no_more(block: Block) -> None:
    """Though its record stays until another one takes its place."""
    own = os.getpid()
    block.add_master(own)
    child = fork(lambda: None)
    block.cells[layout.H_MASTERS + 1] = child
    OwnBeat(block, child).say_ready()
    ended(child)
    assert leads(block, own)
    assert beats(block) == [Beat(own)]
    assert has_been_overtaken(block, own)
    OwnBeat(block, own).say_ready()
    assert not has_been_overtaken(block, own)
