"""Exemplars as registries give them."""

import prometheus_client.samples

from hvd.metrics.instruments.sample import Exemplar, make_exemplar


def test_theirs_where_they_are_loaded() -> None:
    """As in this process; they are equal to hvd's."""
    made = make_exemplar({"a": "b"}, 1, 2.0)
    assert type(made) is prometheus_client.samples.Exemplar
    assert made == Exemplar({"a": "b"}, 1, 2.0)
