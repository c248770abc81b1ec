"""Installing the front, in an interpreter of its own each time."""

import os
import subprocess
import sys

LAZY = """
import sys
from hvd.metrics.prometheus import front
assert front.install("auto", all_registries=True) == ""
assert "prometheus_client" not in sys.modules, "nobody has asked for it"
front.say_serving()
import prometheus_client.values
from hvd.metrics.prometheus.families import registries
from hvd.metrics.prometheus.values import Value
assert prometheus_client.values.ValueClass is Value
assert registries.are_all_shown and not registries.is_serving
front.say_serving()
assert registries.is_serving
replaced = prometheus_client.Counter.inc, prometheus_client.CollectorRegistry.collect
front.install()  # again
assert replaced == (prometheus_client.Counter.inc, prometheus_client.CollectorRegistry.collect)
assert not registries.are_all_shown
"""

FILES = """
import os, prometheus_client.values
from hvd.metrics.prometheus import front
before = prometheus_client.values.ValueClass
assert front.install("false") == ""
warning = front.install("auto")
assert "which hvd doesn't show" in warning and os.environ["PROMETHEUS_MULTIPROC_DIR"] in warning, warning
assert prometheus_client.values.ValueClass is before
assert "counts in hvd, not in files" in front.install("true")
assert prometheus_client.values.ValueClass is not before
"""

UNKNOWN = """
import prometheus_client.metrics as metrics
del metrics.MetricWrapperBase.remove
before = metrics.values.ValueClass, metrics.MetricWrapperBase.labels
import hvd.prometheus
hvd.prometheus.install()
assert before == (metrics.values.ValueClass, metrics.MetricWrapperBase.labels), "half of it was replaced"
metrics.Counter("a", "A.").inc()
"""


def run(script: str, **environ: str) -> str:
    """Its standard error."""
    own = {name: text for name, text in os.environ.items() if "MULTIPROC" not in name.upper()}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=own | environ, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_it_waits_for_the_import() -> None:
    """An app without prometheus_client pays nothing; to install it again changes nothing but its settings."""
    assert run(LAZY) == ""


def test_files_of_prometheus_client_are_left_in_force(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Unless the front is asked for; one warning says which of both counts."""
    run(FILES, PROMETHEUS_MULTIPROC_DIR=str(tmp_path))


def test_another_version_is_left_alone() -> None:
    """With a line in the log: the app goes on."""
    assert "hvd doesn't know its version" in run(UNKNOWN)
