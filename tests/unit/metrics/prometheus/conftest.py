"""prometheus_client with hvd's front, taken away after the test; and a process that counts in a block."""

import os
from collections.abc import Iterator

import prometheus_client.metrics
import prometheus_client.values
import pytest
from prometheus_client import CollectorRegistry

from hvd.core.acquire import acquire
from hvd.core.block import Block
from hvd.core.own.store import OwnStore
from hvd.metrics.instruments import exemplars, functions, reading
from hvd.metrics.prometheus import families, patches, samples
from tests.unit.core.own.support import SHAPE, store_in


@pytest.fixture
def block(name: str) -> Iterator[Block]:
    """A block that is just made."""
    block, _ = acquire(name, SHAPE)
    yield block
    block.release_claim()
    os.close(block.fd)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> OwnStore:
    """The store of a process that has no slot, with the front in force."""
    own = OwnStore()
    for module in (families, reading, samples, functions, exemplars):
        monkeypatch.setattr(module, "own_store", own)
    monkeypatch.setattr(own, "attached", functions.functions.start)
    monkeypatch.setattr(families, "registries", families.Registries())
    monkeypatch.setattr(patches, "registries", families.registries)
    for owner, name, _ in patches._replacements:
        monkeypatch.setattr(owner, name, getattr(owner, name, None), raising=False)
    monkeypatch.setattr(patches.MetricWrapperBase, "labels", patches.MetricWrapperBase.labels)
    monkeypatch.setattr(prometheus_client.values, "ValueClass", prometheus_client.values.ValueClass)
    monkeypatch.setattr(prometheus_client.metrics, "os", prometheus_client.metrics.os)
    monkeypatch.setattr(families, "REGISTRY", CollectorRegistry(auto_describe=True))
    patches.apply()
    return own


@pytest.fixture
def registry(store: OwnStore) -> CollectorRegistry:
    """That which is the default one in this test."""
    return families.REGISTRY


@pytest.fixture
def attached(store: OwnStore, block: Block) -> OwnStore:
    """The same, in a slot of the block."""
    store.attach(block, store_in(block).slot)
    return store
