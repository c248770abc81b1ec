"""The face of the front for prometheus_client."""

import subprocess
import sys

SCRIPT = """
import hvd.prometheus
hvd.prometheus.install()
hvd.prometheus.install(all_registries=True)
from prometheus_client import Counter, values
from hvd.metrics.prometheus.values import Value
assert values.ValueClass is Value
counter = Counter("a", "A.")
counter.inc()
assert type(counter._value) is Value
"""


def test_it_is_installed_in_a_line() -> None:
    """Before the metrics are made; again without harm."""
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
