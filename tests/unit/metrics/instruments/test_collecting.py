"""Collecting: what one process gives of itself; over several it is in test_base.py."""

import hvd
from hvd.metrics.instruments.collecting import metric_of, samples_of_places


def test_a_metric_has_its_series_in_order_and_a_child_only_its_own() -> None:
    """The child without its labels."""
    orders = hvd.Counter("orders", "Orders.", ["shop"], registry=None)
    for shop, amount in (("b", 2), ("a", 1)):
        orders.labels(shop).inc(amount)
    samples = [sample for sample in metric_of(orders).samples if sample.name == "orders_total"]
    assert [(sample.labels, sample.value) for sample in samples] == [({"shop": "b"}, 2), ({"shop": "a"}, 1)]
    (own, _) = metric_of(orders.labels("a")).samples
    assert (own.labels, own.value) == ({}, 1)
    assert [sample.labels for sample in samples_of_places(orders)] == [("b",), ("a",)]
