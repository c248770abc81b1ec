"""What tests/test_core.py of prometheus_client 0.26.0 checks of instruments, with each kit.

What differs is in docs/instruments.md.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import prometheus_client
import prometheus_client.core
import prometheus_client.validation
import pytest

from tests.unit.metrics.kit import Kit, attached, block, kit, refuses, slot, store

__all__ = ["attached", "block", "kit", "slot", "store"]  # fixtures

INF = float("inf")


@pytest.fixture
def legacy() -> Iterator[None]:
    prometheus_client.validation.enable_legacy_validation()
    yield
    prometheus_client.validation.disable_legacy_validation()


def argspec(function: Callable[..., Any]) -> Any:
    return tuple(inspect.getfullargspec(function))[:4]


def test_counter(kit: Kit) -> None:
    """It grows by 1 or an amount, never falls, begins anew by reset; clear does nothing to one without labels."""
    counter = kit.Counter("c_total")
    assert kit.value("c_total") == 0
    counter.inc()
    counter.inc(7)
    assert kit.value("c_total") == 8
    counter.clear()
    assert kit.value("c_total") == 8
    with pytest.raises(ValueError, match="non-negative"):
        counter.inc(-1)
    created = kit.value("c_created")
    assert abs(created - time.time()) < 60
    counter.reset()
    assert kit.value("c_total") == 0
    assert kit.is_in_block or kit.value("c_created") > created
    assert repr(counter).endswith(".Counter(c)") or repr(counter) == "hvd.Counter(c)"
    assert str(counter) == "counter:c"


def test_counting_exceptions(kit: Kit) -> None:
    """Of a function and of a block; a function keeps its signature."""
    counter = kit.Counter("c_total")

    @counter.count_exceptions(ValueError)
    def fail(r: bool) -> None:
        raise ValueError if r else TypeError

    assert argspec(fail) == (["r"], None, None, None)
    with pytest.raises(TypeError):
        fail(False)
    assert kit.value("c_total") == 0
    with pytest.raises(ValueError, match=r"^$"):
        fail(True)
    with counter.count_exceptions():
        pass
    assert kit.value("c_total") == 1
    with pytest.raises(ValueError, match=r"^$"), counter.count_exceptions():
        raise ValueError
    assert kit.value("c_total") == 2


def test_exemplars(kit: Kit) -> None:
    """Up to 128 characters, of any bytes; of any names, unless these are validated as they once were."""
    counter, histogram = kit.Counter("c_total"), kit.Histogram("h")
    letters = "abcdefghijklmnopqrstuvwxyz"
    fits = {letters: "26+16 characters", "x123456": "7+15 characters", letters[::-1]: "26+16 characters"}
    counter.inc(exemplar={**fits, "unicode": "7+15 chars    平"})
    for count, exemplar in (
        (counter.inc, {**fits, "x1234567": "8+15 characters"}),
        (lambda exemplar: histogram.observe(1.0, exemplar=exemplar), {**fits, "y1234567": "8+15 characters"}),
    ):
        with pytest.raises(ValueError, match="exceeding the limit of 128"):
            count(exemplar=exemplar)
    histogram.observe(3.0, exemplar={":o)": "smile"})
    counter.inc(exemplar={"1": "number"})
    samples = [sample for metric in kit.registry.collect() for sample in metric.samples]
    noted = {(sample.name, sample.labels.get("le")): sample.exemplar for sample in samples if sample.exemplar}
    assert noted["c_total", None][:2] == ({"1": "number"}, 1)
    assert noted["h_bucket", "5.0"][:2] == ({":o)": "smile"}, 3.0)


@pytest.mark.usefixtures("legacy")
def test_legacy_names(kit: Kit) -> None:
    """Where they are validated as they once were, names of metrics and labels have letters, digits, _ and :."""
    for names in ({"name": ""}, {"name": "^"}, {"name": "", "namespace": "&"}, {"name": "", "subsystem": "("}):
        with pytest.raises(ValueError, match="name"):
            kit.Counter(**names)
    for label in ("^", "a:b", "__reserved"):
        with pytest.raises(ValueError, match="label"):
            kit.Counter("c_total", labelnames=[label])
    counter, histogram = kit.Counter("ok_total"), kit.Histogram("h")
    for name in (":o)", "1"):
        with pytest.raises(ValueError, match="label"):
            counter.inc(exemplar={name: "smile"})
        with pytest.raises(ValueError, match="label"):
            histogram.observe(3.0, exemplar={name: "smile"})


def test_names(kit: Kit) -> None:
    """They are not empty, and what the library adds itself is no label."""
    for names in ({"name": ""}, {"name": "", "namespace": "&"}, {"name": "", "subsystem": "("}):
        with pytest.raises(ValueError, match="empty"):
            kit.Counter(**names)
    for make, label in ((kit.Counter, "__reserved"), (kit.Summary, "quantile"), (kit.Histogram, "le")):
        with pytest.raises(ValueError, match="Reserved"):
            make("c_total", labelnames=[label])
    kit.Counter("c_total", namespace="a", subsystem="b").inc()
    assert kit.value("a_b_c_total") == 1
    kit.Histogram("h", [], unit="seconds")
    kit.Histogram("i_seconds", [], unit="seconds")
    assert kit.value("h_seconds_sum") == kit.value("i_seconds_sum") == 0
    assert kit.Counter("b_total", unit="total", labelnames=["l"])._name == "b_total"
    for make in (kit.Info, kit.Enum):
        with pytest.raises(ValueError, match=r"unit|states"):
            make("foo", unit="x")


def test_created_series_can_be_left_out(kit: Kit) -> None:
    """By the function that prometheus_client has for it."""
    prometheus_client.disable_created_metrics()
    try:
        kit.Counter("c_total").inc()
        kit.Histogram("h").observe(3.2)
        kit.Summary("s").observe(8.2)
        assert kit.value("c_created") is kit.value("h_created") is kit.value("s_created") is None
    finally:
        prometheus_client.enable_created_metrics()


def test_gauge(kit: Kit) -> None:
    """It goes up and down."""
    gauge = kit.Gauge("g")
    assert kit.value("g") == 0
    gauge.inc()
    assert kit.value("g") == 1
    gauge.dec(3)
    assert kit.value("g") == -2
    gauge.set(9)
    assert kit.value("g") == 9
    gauge.set_to_current_time()
    assert abs(kit.value("g") - time.time()) < 60


def test_requests_in_progress(kit: Kit) -> None:
    """Of a function and of a block."""
    gauge = kit.Gauge("g")

    @gauge.track_inprogress()
    def check() -> None:
        assert kit.value("g") == 1

    assert argspec(check) == ([], None, None, None)
    check()
    assert kit.value("g") == 0
    with gauge.track_inprogress():
        assert kit.value("g") == 1
    assert kit.value("g") == 0


def test_function_of_a_gauge(kit: Kit) -> None:
    """It gives the value at each reading; the gauge's own methods do nothing any more."""
    gauge, things = kit.Gauge("g"), {}
    gauge.set_function(lambda: len(things))
    gauge.inc()
    assert kit.value("g") == 0
    things["a"] = None
    assert kit.value("g") == 1


def test_modes_of_a_gauge(kit: Kit) -> None:
    """One must be known; the most recent value can't be added to."""
    with pytest.raises(ValueError, match="Invalid multiprocess mode: some"):
        kit.Gauge("g", multiprocess_mode="some")
    gauge = kit.Gauge("g", multiprocess_mode="mostrecent")
    gauge.set(3)
    assert kit.value("g") == 3
    for change in (gauge.inc, gauge.dec):
        with pytest.raises(RuntimeError, match="must not be used with the mostrecent mode"):
            change()


def test_timers(kit: Kit) -> None:
    """Of a function, of calls within calls, of a block, and for a child that is chosen within the block."""
    gauge, summary, histogram = kit.Gauge("g"), kit.Summary("s"), kit.Histogram("h")

    for metric in (gauge, summary, histogram):

        @metric.time()
        def sleep(depth: int = 1) -> None:
            time.sleep(0.001)
            if depth:
                sleep(depth - 1)

        assert argspec(sleep) == (["depth"], None, None, (1,))
        sleep()
    assert kit.value("g") > 0.001
    assert kit.value("s_count") == kit.value("h_count") == kit.value("h_bucket", le="+Inf") == 2
    assert kit.value("s_sum") >= 0.003
    with summary.time() as timer:
        time.sleep(0.001)
    assert timer.duration > 0
    assert kit.value("s_count") == 3

    for kind, name in (("Gauge", "g2"), ("Summary", "s2"), ("Histogram", "h2")):
        metric = getattr(kit, kind)(name, ["l"])
        with metric.time() as timer:
            timer.labels("a")
    assert kit.value("g2", l="a") > 0
    assert kit.value("s2_count", l="a") == kit.value("h2_count", l="a") == 1


def test_timers_of_threads(kit: Kit) -> None:
    """Each call has its own."""
    summary, histogram = kit.Summary("s"), kit.Histogram("h")

    @summary.time()
    @histogram.time()
    def sleep() -> None:
        time.sleep(0.01)

    with ThreadPoolExecutor(3) as pool:
        for _ in range(9):
            pool.submit(sleep)
    assert kit.value("s_count") == kit.value("h_count") == 9
    assert kit.value("s_sum") >= kit.value("h_sum") >= 0.09


def test_parents_count_nothing(kit: Kit) -> None:
    """What has labels counts by its children only."""
    counter, gauge = kit.Counter("c", ["l"]), kit.Gauge("g", ["l"])
    summary, histogram = kit.Summary("s", ["l"]), kit.Histogram("h", ["l"])
    for call in (counter.inc, counter.count_exceptions, gauge.inc, gauge.dec, gauge.track_inprogress):
        refuses(call)
    refuses(gauge.set_function, lambda: 1)
    for call in (gauge.set, summary.observe, histogram.observe):
        refuses(call, 1)
    for metric in (gauge, summary, histogram):
        with pytest.raises(ValueError, match="missing label values"), metric.time():
            pass
    refuses(kit.Enum("e", ["l"], states=["a"]).state, "a")


def test_summary(kit: Kit) -> None:
    """How many, and their sum."""
    summary = kit.Summary("s")
    assert kit.value("s_count") == kit.value("s_sum") == 0
    summary.observe(10)
    assert (kit.value("s_count"), kit.value("s_sum")) == (1, 10)


def test_histogram(kit: Kit) -> None:
    """A bucket has all up to its bound, which it includes."""
    histogram, labelled = kit.Histogram("h"), kit.Histogram("hl", ["l"])

    def buckets(name: str, **labels: str) -> tuple[float, ...]:
        return tuple(kit.value(f"{name}_bucket", le=le, **labels) for le in ("1.0", "2.5", "5.0", "+Inf"))

    assert buckets("h") == (0, 0, 0, 0)
    histogram.observe(2)
    histogram.observe(2.5)
    assert buckets("h") == (0, 2, 2, 2)
    assert (kit.value("h_count"), kit.value("h_sum")) == (2, 4.5)
    histogram.observe(INF)
    assert buckets("h") == (0, 2, 2, 3)
    assert (kit.value("h_count"), kit.value("h_sum")) == (3, INF)
    assert kit.value("hl_count", l="a") is None
    labelled.labels("a").observe(2)
    assert buckets("hl", l="a") == (0, 1, 1, 1)
    kit.Histogram("below", buckets=[-1, 1]).observe(-2)
    assert (kit.value("below_count"), kit.value("below_sum")) == (1, None)  # a sum that can fall is no counter


def test_buckets(kit: Kit) -> None:
    """In order, at least one beside the last, which is without bound."""
    for buckets in ([0, 1, 2], [0, 1, 2, INF], ["0", "1", "2"]):
        assert kit.Histogram("h", registry=None, buckets=buckets)._upper_bounds == [0.0, 1.0, 2.0, INF]
    for buckets in ([], [INF], [3, 1]):
        with pytest.raises(ValueError, match=r"sorted order|at least two"):
            kit.Histogram("h", registry=None, buckets=buckets)


def test_info(kit: Kit) -> None:
    """The last set of facts."""
    info, labelled = kit.Info("i"), kit.Info("il", ["l"])
    assert kit.value("i_info") == 1
    info.info({"a": "b", "c": "d"})
    assert kit.value("i_info") is None
    assert kit.value("i_info", a="b", c="d") == 1
    for facts in ({"l": ""}, {"il": None}):
        with pytest.raises(ValueError, match=r"Overlapping|None"):
            labelled.labels("a").info(facts)
    labelled.labels("a").info({"foo": "bar"})
    assert kit.value("il_info", l="a", foo="bar") == 1


def test_enum(kit: Kit) -> None:
    """One of the states is 1."""
    enum, labelled = kit.Enum("e", states=["a", "b"]), kit.Enum("el", ["l"], states=["a", "b", "c"])
    assert (kit.value("e", e="a"), kit.value("e", e="b")) == (1, 0)
    enum.state("b")
    assert (kit.value("e", e="a"), kit.value("e", e="b")) == (0, 1)
    with pytest.raises(ValueError, match="d"):
        enum.state("d")
    labelled.labels("a").state("c")
    assert [kit.value("el", l="a", el=state) for state in "abc"] == [0, 0, 1]
    for wrong in ({"labelnames": ["f"], "states": ["a"]}, {"states": None}):
        with pytest.raises(ValueError, match=r"Overlapping|No states"):
            kit.Enum("f", **wrong)
    kit.Enum("f", states=["a", "b"])
    assert kit.value("f", f="a") == 1
