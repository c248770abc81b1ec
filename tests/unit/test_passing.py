"""What an old master passes on to a new one."""

import os

import pytest

from hvd.core.block import Block
from hvd.core.claim import Passed
from hvd.passing import VARIABLE, pass_on, receive


def test_descriptors_are_passed_to_the_process_that_is_executed(block: Block) -> None:
    """It has the pid of the one that passed them, and inherits them."""
    environ: dict[str, str] = {}
    pass_on(block, environ)
    assert os.get_inheritable(block.fd)
    assert os.get_inheritable(block.claim)
    assert not VARIABLE.startswith("HVD_"), "it would be a setting, and a wrong one"
    assert receive(environ) == Passed(block.fd, block.claim)
    assert environ == {}, "nobody else is to take them"


@pytest.mark.parametrize("environ", [{}, {VARIABLE: "1:3:4"}])
def test_what_was_meant_for_another_process_is_not_taken(environ: dict[str, str]) -> None:
    """The environment goes on to children, the descriptors don't."""
    assert receive(environ) is None
