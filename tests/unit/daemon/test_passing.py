"""What an old master passes on to a new one."""

import os

import pytest

from hvd.core.block import Block
from hvd.daemon.passing import VARIABLE, pass_on, receive


def test_descriptors_are_passed_to_the_process_that_is_executed(block: Block) -> None:
    """It has the pid of the one that passed them, and inherits them."""
    environ: dict[str, str] = {}
    pass_on(block, environ)
    assert not VARIABLE.startswith("HVD_"), "it would be a setting, and a wrong one"
    passed = receive(environ)
    assert passed is not None
    assert all(map(os.get_inheritable, passed))
    assert passed.claim == block.claim
    assert os.path.sameopenfile(passed.block, block.fd)
    assert environ == {}, "nobody else is to take them"
    os.close(passed.block)


def test_the_block_is_kept_for_a_master_that_does_not_run_yet(block: Block) -> None:
    """The old one may be told to stop right after it was told to start the new one; without that one, it goes."""
    environ: dict[str, str] = {}
    pass_on(block, environ)
    passed = receive(environ)
    assert passed is not None
    try:
        assert not block.remove_if_last()
        assert block.file_name.holds()
    finally:
        os.close(passed.block)
    assert block.remove_if_last()


@pytest.mark.parametrize("environ", [{}, {VARIABLE: "1:3:4"}])
def test_what_was_meant_for_another_process_is_not_taken(environ: dict[str, str]) -> None:
    """The environment goes on to children, the descriptors don't."""
    assert receive(environ) is None
