"""The presets all together."""

from hvd.export.presets.table import PRESETS, metrics_of
from hvd.metrics.table import METRICS
from hvd.settings.value_types import PRESETS as NAMES


def test_the_setting_takes_the_presets_that_there_are() -> None:
    """By the same names."""
    for name in PRESETS:
        assert NAMES.read(NAMES.parse(name)) == (name,)


def test_presets_can_be_had_together() -> None:
    """No name is there twice."""
    names = [metric.name for metric in (*METRICS, *metrics_of(PRESETS))]
    assert len(set(names)) == len(names)
