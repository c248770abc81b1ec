"""The keys by which the block tells registries apart, and which of them count there at all."""

import prometheus_client

import hvd
from hvd.metrics.instruments.keys import MOST_REGISTRIES, Keys


def test_keys() -> None:
    """Default ones, hvd's and theirs, have the empty one; others keep theirs; metrics of none are the process's."""
    keys = Keys()
    assert keys.key_of(hvd.REGISTRY) == keys.key_of(prometheus_client.REGISTRY) == ""
    assert keys.key_of(None) is None
    first, second = hvd.CollectorRegistry(), prometheus_client.CollectorRegistry()
    assert (keys.key_of(first), keys.key_of(second)) == ("#1", "#2")
    assert keys.key_of(first) == "#1"


def test_registries_that_come_and_go_are_the_process_own() -> None:
    """Those made while the app serves, and those after the first few: what is in the catalogue stays there."""
    keys = Keys()
    lasting = [hvd.CollectorRegistry() for _ in range(MOST_REGISTRIES)]
    assert all(map(keys.key_of, lasting))
    assert keys.key_of(hvd.CollectorRegistry()) is None
    keys = Keys()
    keys.key_of(lasting[0])
    keys.is_serving = True
    assert [keys.key_of(registry) for registry in lasting[:2]] == ["#1", None]


def test_all_can_be_shown() -> None:
    """With those of the default one."""
    keys = Keys()
    keys.are_all_shown = True
    assert keys.key_of(None) == keys.key_of(hvd.CollectorRegistry()) == ""
