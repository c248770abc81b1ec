"""Info and Enum over several processes; the rest is in ../test_core_of_prometheus_client.py."""

import pytest

import hvd
from hvd.core.block import Block
from tests.unit.core.own.support import in_child
from tests.unit.metrics.instruments.test_base import other_process


def facts(info: hvd.Info) -> list[dict[str, str]]:
    return [sample.labels for sample in info.collect()[0].samples]


def test_the_last_process_that_says_it_is_right(block: Block, slot: int) -> None:
    """Also when it has ended, and a process that says nothing changes nothing."""
    info = hvd.Info("build", "Build.", registry=hvd.CollectorRegistry())
    state = hvd.Enum("state", "State.", registry=hvd.CollectorRegistry(), states=["off", "on"])

    def work() -> None:
        other_process(block)
        info.info({"version": "2"})
        state.state("on")

    info.info({"version": "1"})
    in_child(work)
    in_child(lambda: other_process(block))
    assert facts(info) == [{"version": "2"}]
    assert [sample.value for sample in state.collect()[0].samples] == [0, 1]
    info.info({"version": "3"})
    state.state("off")
    assert facts(info) == [{"version": "3"}]
    assert [sample.value for sample in state.collect()[0].samples] == [1, 0]


def test_children_and_their_removal(block: Block, slot: int) -> None:
    """One set of facts for each."""
    info = hvd.Info("build", "Build.", ["part"], registry=hvd.CollectorRegistry())
    info.labels("a").info({"version": "1"})
    info.labels("a").info({"version": "2"})
    info.labels("b").info({"version": "1"})
    assert facts(info) == [{"part": "a", "version": "2"}, {"part": "b", "version": "1"}]
    assert facts(info.labels("b")) == [{"version": "1"}]
    info.remove("a")
    assert facts(info) == [{"part": "b", "version": "1"}]
    info.remove_by_labels({"part": "b"})
    assert facts(info) == []
    with pytest.raises(ValueError, match="missing label values"):
        info.info({})


def test_more_facts_than_there_is_room_for(block: Block, slot: int) -> None:
    """The last ones that had room are shown; reading goes on."""
    info = hvd.Info("build", "Build.", registry=hvd.CollectorRegistry())
    for number in range(40):
        info.info({"version": str(number)})
    assert facts(info) == [{"version": "30"}]


def test_facts_of_any_text_and_length(block: Block, slot: int) -> None:
    """They have bounds, one by one and together."""
    info = hvd.Info("build", "Build.", registry=hvd.CollectorRegistry())
    info.info({"a": "x", "b": "\ud800"})
    assert facts(info) == [{"a": "x", "b": "\\ud800"}]
    info.info({"a": "y" * 10_000, **{f"b{number}": "z" for number in range(10_000)}})
    (said,) = facts(info)
    assert said["a"].startswith("yyy")
    assert len(str(said)) < 20_000
