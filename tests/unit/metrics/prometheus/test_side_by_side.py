"""The same program under prometheus_client's own multiprocess mode, and under hvd: the same text, byte for byte."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = r"""
import os, sys

sys.path.insert(0, sys.argv[2])
is_hvds = sys.argv[1] != "files"
if is_hvds:
    import hvd.prometheus
    from hvd.core.own.store import own_store
    from hvd.core.acquire import acquire
    from hvd.core.layout import COMPANION_SLOTS, KIND_WORKER, Layout
    from hvd.core.durations import TIMED_CELLS
    from hvd.core.slots import Slots

    hvd.prometheus.install()
    block, _ = acquire(sys.argv[1], Layout(COMPANION_SLOTS + 4, 2, 16, TIMED_CELLS, own_series=1000))

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics


def attach():
    if is_hvds:
        own_store.attach(block, Slots(block).claim(KIND_WORKER, os.getpid(), os.getpid()))


MODES = [f"{live}{mode}" for live in ("", "live") for mode in ("all", "min", "max", "sum", "mostrecent")]
ODD = 'a"b\\c\nd', "é", "", "x" * 100
orders = Counter("orders_total", "Orders of\na \\ shop.", ["shop", "Zone"], unit="pieces", namespace="my")
plain, idle = Counter("plain", "Plain."), Counter("idle", "Never counted.", ["x"])
gauges = [Gauge(f"level_{mode}", f"Level {mode}.", ["a"], multiprocess_mode=mode) for mode in MODES]
bare = [Gauge(f"bare_{mode}", "Bare.", multiprocess_mode=mode) for mode in MODES]
took = Histogram("took", "Took.", ["x"], unit="seconds")
sizes = Histogram("sizes", "Sizes.", buckets=(-1, 0.5, 123456789, 1e16))
parts = Summary("parts", "Parts.", ["x"])
utf8 = Counter("größe.total", "A name that only UTF-8 has.", ["län.der"])
attach()


def work(number):
    for text in ODD:
        orders.labels(text, "z").inc(number)
        took.labels(text).observe(0.25 * number)
        parts.labels(text).observe(number)
    plain.inc(0.5)
    plain.inc(2**53)
    utf8.labels("x").inc()
    for amount in (-5, 0.5, 0.75, 1e300):
        sizes.observe(amount)
    for gauge, other in zip(gauges, bare):
        gauge.labels("x").set(number * 1.5)
        gauge.labels("y").set(float("inf"))
        other.set(-number)
    gauges[3].labels("x").inc(0.25)


begin, end = os.pipe(), os.pipe()
for number in (1, 2):
    if not os.fork():
        os.close(end[1])
        attach()
        work(number)
        os.write(begin[1], b"x")
        os.read(end[0], 1)
        os._exit(0)
    os.read(begin[0], 1)
registry = CollectorRegistry()
MultiProcessCollector(registry)
for text in (generate_latest(registry), generate_openmetrics(registry), generate_latest(registry, "allow-utf-8")):
    sys.stdout.buffer.write(text + b"=====\n")
"""


def families(text: str) -> dict[str, list[str]]:
    """The lines of each family, its head first; the order of series is that of files, or of appearance."""
    pids = sorted(set(re.findall(r'pid="(\d+)"', text)), key=int)
    for number, pid in enumerate(pids):
        text = text.replace(f'pid="{pid}"', f'pid="{number}"')
    parts = re.split(r"(?m)^(?=# HELP )", text.removesuffix("# EOF\n"))
    return {part.splitlines()[1]: [*part.splitlines()[:2], *sorted(part.splitlines()[2:])] for part in parts if part}


@pytest.fixture
def texts(name: str, tmp_path: Path) -> list[list[str]]:
    """What each of both writes: three texts."""
    root = str(Path(__file__).parents[4])
    own = {key: value for key, value in os.environ.items() if "MULTIPROC" not in key.upper()}
    outputs = []
    for mode, environ in (("files", own | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}), (name, own)):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, mode, root], env=environ, stdout=subprocess.PIPE, check=True, timeout=120
        )
        outputs.append(done.stdout.decode().split("=====\n")[:-1])
    return outputs


def test_the_text_is_the_same(texts: list[list[str]]) -> None:
    """Names, help, order of labels and buckets, numbers; in each format."""
    theirs, ours = texts
    for their, our in zip(theirs, ours, strict=True):
        assert len(families(their)) > 20
        assert families(our) == families(their)
    for series in (r"took_seconds\w*\{.*é.*", r"parts\w*\{.*é.*"):
        assert re.findall(series, ours[0]) == re.findall(series, theirs[0]), "the order of a series' lines"
