"""What the aggregator is told; the memory file in between: tests/unit/companion/test_options.py."""

import subprocess
import sys

from hvd.agg.options import SPARE_DESCRIPTORS, AggregatorOptions
from hvd.settings.loader import load

SETTINGS = {"HVD_INTERVAL": "3", "HVD_PING_INTERVAL": "4", "HVD_PING_TIMEOUT": "5", "HVD_MAX_CLIENTS": "6"}


def test_they_are_of_the_settings() -> None:
    """Each from the setting that it is named after; they arrive as they are sent."""
    options = AggregatorOptions.of(load(SETTINGS).settings, "debug", "shop:app")
    name = {"instance": "127.0.0.1-8080", "app": "shop:app", "worker_class": "gthread", "bind": "127.0.0.1:8080"}
    assert options == AggregatorOptions("debug", 3.0, 4.0, 5.0, 6, False, **name)
    assert options.name == name
    assert AggregatorOptions.from_json(options.to_json()) == options
    assert options.descriptors == 6 + SPARE_DESCRIPTORS


def test_the_aggregator_has_no_settings() -> None:
    """Only its options: the rest would cost it time at each start, and memory."""
    code = "import sys, hvd.agg.main; print([name for name in sys.modules if name.startswith('hvd.settings')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_options_can_be_imported_without_what_runs_them() -> None:
    """A master, and each of its workers, would have an event loop, psutil and a database's library in memory."""
    code = "import sys, hvd.agg.options, hvd.jobs.options; print([*sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "'hvd.jobs.options'" in done.stdout
    for module in ("asyncio", "psutil", "sqlalchemy", "wsproto"):
        assert f"'{module}'" not in done.stdout
