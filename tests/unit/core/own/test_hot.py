"""Which form of the hot code of own metrics is in use, and that both count the same."""

import importlib
import math
import os
import random
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from hvd.core import layout
from hvd.core.own import hot, logarithmic, places, sums
from hvd.core.own.definition import Definition
from tests.unit.core.own.support import PARTS, SIZES, TURNS, gauge
from tests.unit.core.support import ended, fork, in_threads, second

_own = importlib.import_module("hvd.core.own._own")
FORMS = {"compiled": _own, "in Python": places}
HEAD, CELLS, TENANCY = layout.PAGE_CELLS, 8 * layout.PAGE_CELLS, 77
LOGARITHMIC = Definition("spans", "histogram", "Spans.", buckets=logarithmic.BUCKETS)

in_each_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())


class Memory:
    """Memory in the form of a block that has one row, and targets there."""

    def __init__(self) -> None:
        self.raw = memoryview(bytearray((HEAD + CELLS) * layout.CELL))
        self.cells = self.raw.cast("q")
        self.row = self.cells[HEAD:]

    def target(self, form: ModuleType, tenancy: int = TENANCY) -> Any:
        return form.Target(self.raw, HEAD, CELLS, tenancy)


def test_the_installed_form_is_the_compiled_one() -> None:
    """Where there is a compiler, as wherever the tests run; it knows the same layout."""
    assert hot.IS_COMPILED
    assert hot._LAYOUT == _own.LAYOUT


def test_without_the_compiled_module_the_form_is_python() -> None:
    """With all names that the other one has."""
    in_python = second("own.hot", **{"own._own": None})
    assert not in_python.IS_COMPILED
    for name in hot.__all__:
        assert name == "IS_COMPILED" or getattr(in_python, name) is getattr(places, name, getattr(sums, name, None))


AMOUNTS: list[Any] = [0, 1, 3, 2**62, 2**63, 10**30, True, 0.0, 0.5, 1e-9, 1.0, 10.0, 10.5, 1e18, math.inf, math.nan]
NEGATIVE: list[Any] = [-1, -(2**70), -0.5, -math.inf]


def outcome(work: Callable[[], object]) -> object:
    """What it gives, or the type of its error, with the message of a ValueError."""
    try:
        return work()
    except Exception as error:
        return type(error), str(error) if isinstance(error, ValueError) else ""


def works(place: Any, rng: random.Random) -> list[Callable[[], object]]:
    """Any call of what a place counts with."""
    amount = rng.choice([*AMOUNTS, *NEGATIVE, "3", None, Number(2.5), Whole(4), 10**400])
    found = [lambda: place.add(rng.randrange(2) * 0, 1), place.counted]
    if isinstance(place, (_own.CounterPlace, places.CounterPlace)):
        found += [place.inc, lambda: place.inc(amount), lambda: place.inc(amount=amount)]
    elif isinstance(place, (_own.GaugePlace, places.GaugePlace)):
        time = rng.choice([0.0, 5, 7.5])
        found = [place.inc, place.dec, place.counted, lambda: place.value]
        found += [lambda: place.inc(amount), lambda: place.dec(amount=amount)]
        found += [lambda: place.set(amount), lambda: place.set(amount, time), lambda: place.set(value=1, time=time)]
    else:
        found += [lambda: place.observe(amount), lambda: place.observe(amount=amount), lambda: place.observe()]
    return found


class Number:
    """A number that is neither int nor float."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __float__(self) -> float:
        return float(self._value)


class Whole(Number):
    """One that is an integer, as those of numpy."""

    def __index__(self) -> int:
        return int(self._value)


GAUGES = [gauge(mode) for mode in ("all", "livesum", "sum", "min", "max", "mostrecent", "livemostrecent")]


@pytest.mark.parametrize("definition", [TURNS, PARTS, SIZES, LOGARITHMIC, *GAUGES], ids=lambda one: one.kind + one.mode)
def test_both_forms_count_the_same(definition: Definition) -> None:
    """Amounts of any kind, before there is a slot, in one after another, and after what others left there."""
    kind = {"counter": "Counter", "summary": "Summary", "histogram": "Histogram", "gauge": "Gauge"}[definition.kind]
    memories = {name: Memory() for name in FORMS}
    counting = {name: getattr(form, f"{kind}Place")(definition) for name, form in FORMS.items()}
    results: dict[str, list[object]] = {name: [] for name in FORMS}
    for name, form in FORMS.items():
        rng, place, memory = random.Random(definition.mode), counting[name], memories[name]
        for step in range(400):
            if step in (50, 200, 300):  # into a slot, then to others of another process
                place.move(memory.target(form, TENANCY + step), 600)
            if step == 350:
                place.forget()
                place.move(memory.target(form, TENANCY), 1600)
            if step == 250 and definition.kind == "gauge":
                memory.row[601] = 0  # it was removed
            work = rng.choice(works(place, rng))
            results[name].append(outcome(work))
    one, other = memories.values()
    assert one.cells.tolist() == other.cells.tolist()
    assert [*map(repr, results["compiled"])] == [*map(repr, results["in Python"])]
    assert any(one.row[600:])


@pytest.mark.parametrize("step", range(-40 * 8, 40 * 8, 3))
def test_both_put_an_amount_into_the_same_logarithmic_bucket(step: int) -> None:
    """Bounds belong to the bucket below them."""
    bound = 2 ** (step / 8)
    for amount in (bound, math.nextafter(bound, 0), math.nextafter(bound, math.inf)):
        place = _own.HistogramPlace(LOGARITHMIC)
        place.observe(amount)
        assert place.counted()[1 + logarithmic.bucket_of(amount)] == 1


@in_each_form
def test_a_store_marks_its_page(form: ModuleType) -> None:
    """With the epoch of that moment, so that readers read it again."""
    memory = Memory()
    place = form.HistogramPlace(LOGARITHMIC)
    place.move(memory.target(form), layout.PAGE_CELLS * 2 - 2)  # in two pages
    memory.cells[layout.H_EPOCH] = 5
    place.observe(0)
    assert memory.row[:3].tolist() == [0, 5, 0]
    memory.cells[layout.H_EPOCH] = 6
    place.observe(2)
    assert memory.row[:3].tolist() == [0, 6, 6]
    place = form.GaugePlace(gauge("mostrecent"))
    place.move(memory.target(form), layout.PAGE_CELLS * 3 - 2)  # its time is on the next page
    memory.cells[layout.H_EPOCH] = 7
    place.set(1.0, 2.0)
    assert memory.row[2:4].tolist() == [7, 7]


@in_each_form
@pytest.mark.parametrize("mode", ["sum", "min", "max"])
def test_what_is_no_number_spoils_no_gauge(form: ModuleType, mode: str) -> None:
    """Neither what a dead process left, nor this one's own."""
    memory = Memory()
    floats = memory.raw.cast("d")[HEAD:]
    for tenancy, value, kept in [(1, math.nan, math.nan), (2, 4.0, 4.0), (3, math.nan, 4.0)]:
        place = form.GaugePlace(gauge(mode))
        memory.row[601] = tenancy - 1  # without the 0 of a place that is new
        place.set(value)
        place.move(memory.target(form, tenancy), 600)
        assert floats[600] == pytest.approx(kept, nan_ok=True)


@in_each_form
def test_a_subclass_says_where_children_and_exemplars_are(form: ModuleType) -> None:
    """By label values as the caller gives them: positions, names, anything that has a text."""
    kept: list[object] = []
    asked: list[object] = []

    class Counter(form.CounterPlace):  # type: ignore[name-defined, misc]
        def find_child(self, *values: object, **named: object) -> object:
            asked.append((values, named))
            return self.children["a", "b"]

        def keep_exemplar(self, *what: object) -> None:
            kept.append(what)

    parent = Counter(Definition("orders", "counter", "", labels=("shop", "country")), is_ready=False)
    child = parent.children["a", "b"] = Counter(TURNS)
    for found in (parent.labels("a", "b"), parent.labels(1, ["b"]), parent.labels("a", country="b")):
        assert found is child
    assert parent.labels(country="b", shop="a") is child
    assert asked[:2] == [((1, ["b"]), {}), (("a",), {"country": "b"})]
    child.inc(2, {"trace": "x"})
    child.inc(exemplar={"trace": "y"})
    child.inc(2.5, exemplar={})
    assert kept == [(0, 2, {"trace": "x"}), (0, 1, {"trace": "y"})]


def test_the_compiled_form_finds_children_by_integers() -> None:
    """By position and name, without a call of find_child; but only by what is just that: True has another text."""
    parent = _own.CounterPlace(Definition("orders", "counter", "", labels=("shop", "status")), is_ready=False)
    child = parent.children["a", "200"] = _own.CounterPlace(TURNS)
    parent.children["a", "1"] = parent.children["a", "-1"] = child
    for found in (parent.labels("a", 200), parent.labels(status=200, shop="a"), parent.labels("a", -1)):
        assert found is child
    for value in (True, 1.0, Whole(1), None, 10**5000):
        with pytest.raises(ValueError if value == 10**5000 else NotImplementedError):
            parent.labels("a", value)


class Interrupted:
    """Has a function called before each line of the Python form that this thread comes to, as a signal handler may."""

    def __init__(self, handler: Callable[[], object]) -> None:
        self._handler, self.times = handler, 0

    def __enter__(self) -> "Interrupted":
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: Any, *_: object) -> Any:
        if frame.f_code.co_filename == places.__file__:
            self.times += 1
            self._handler()
        return self._trace


def test_a_signal_handler_may_count_in_the_python_form() -> None:
    """At any line of a change in the same thread: neither loses a count, also where the place moves meanwhile."""
    counter, level, sizes = places.CounterPlace(TURNS), places.GaugePlace(gauge("sum")), places.HistogramPlace(SIZES)

    def count() -> None:
        counter.inc()
        level.inc()
        sizes.observe(1)

    with Interrupted(count) as interrupted:
        for _ in range(3):
            count()
        for offset, place in enumerate((counter, level, sizes)):
            place.move(Memory().target(places), 8 + offset * 8)
        count()
    count()
    total = interrupted.times + 5
    assert (counter.counted(), level.value, sizes.counted()) == ([total, 0.0], total, [float(total), total, 0, 0])


def test_a_subclass_has_the_hot_methods_as_its_own() -> None:
    """So the interpreter calls them straight; what a class on the way has in their place stays."""
    calls: list[object] = []

    class Mixed:
        def inc(self, amount: float = 1) -> None:
            calls.append(amount)

    class Plain(_own.CounterPlace):  # type: ignore[name-defined, misc]
        pass

    class Other(Mixed, _own.CounterPlace):  # type: ignore[name-defined, misc]
        pass

    class Last(Plain):
        def labels(self) -> None:
            calls.append("labels")

    assert Plain.__dict__["inc"].__objclass__ is Plain
    assert Last.__dict__["inc"].__objclass__ is Last
    assert Other.inc is Mixed.inc
    Other(TURNS).inc(3)
    Last(TURNS).labels()
    last = Last(TURNS)
    last.inc(2)
    assert (calls, last.counted()) == ([3, "labels"], [2, 0.0])


@in_each_form
def test_what_is_no_place_counts_nothing(form: ModuleType) -> None:
    """A parent of children; one that was made by halves; a series outside of the row; a cell outside of the series."""
    with pytest.raises(ValueError, match="counter metric is missing label values"):
        form.CounterPlace(TURNS, is_ready=False).inc()
    place = form.HistogramPlace(SIZES)
    for index in (-1, 4):
        with pytest.raises(IndexError):
            place.cell(index)
    for _ in range(2):
        place.cell(2).inc(3)
    assert (place.cell(2).get_own(), place.cell(0).get_own()) == (6, 0.0)


def test_the_compiled_form_refuses_what_would_be_outside_of_the_block() -> None:
    """Whatever damaged cells say."""
    memory = Memory()
    target = memory.target(_own)
    for offset in (-1, 0, CELLS - 1, 2**62):
        with pytest.raises(ValueError, match="not within the row"):
            _own.CounterPlace(TURNS).move(target, offset)
    for head, count in ((-1, 5), (HEAD, CELLS + 1), (HEAD + CELLS, 1), (2**62, 2**62), (0, 0)):
        with pytest.raises(ValueError, match="not within the block"):
            _own.Target(memory.raw, head, count, 1)
    bare = _own.CounterPlace.__new__(_own.CounterPlace)
    for call in (bare.inc, bare.labels, bare.counted, bare.forget, lambda: bare.move(target, 5), lambda: bare.cell(0)):
        with pytest.raises(RuntimeError, match="no cells"):
            call()
    with pytest.raises(TypeError):
        _own.CounterPlace(TURNS).move(object(), 5)


@in_each_form
def test_threads_lose_nothing_while_the_place_moves(form: ModuleType) -> None:
    """What is counted meanwhile is in the one or in the other."""
    counter, target = form.CounterPlace(TURNS), Memory().target(form)
    half = threading.Event()
    count = 3000

    def work() -> None:
        for step in range(count):
            counter.inc(1 if step % 2 else 0.5)
            if step == count // 2:
                half.set()

    with in_threads(*[work] * 4):
        half.wait(20)
        counter.move(target, 10)
    assert target.cells[10] + target.floats[11] == 4 * count * 0.75


@in_each_form
def test_a_forked_child_counts_though_a_thread_of_its_parent_was_counting(form: ModuleType) -> None:
    """No lock of the parent is left in it."""
    counter = form.CounterPlace(TURNS)
    end = threading.Event()

    def work() -> None:
        while not end.is_set():
            counter.inc()

    def count() -> None:
        counter.forget()
        counter.inc()
        os._exit(0 if counter.counted()[0] == 1 else 1)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with in_threads(work):
            try:
                for _ in range(20):
                    assert ended(fork(count)) == 0
            finally:
                end.set()
    finally:
        sys.setswitchinterval(interval)


@in_each_form
def test_before_each_count_who_may_give_cells_is_asked(form: ModuleType) -> None:
    """Until the place moves, which that may do; what then is counted is counted there. Reading asks nobody."""
    asked = list[str]()
    counts: list[tuple[Definition, Callable[[Any], object]]] = [
        (TURNS, lambda place: place.inc()),
        (PARTS, lambda place: place.observe(1)),
        (SIZES, lambda place: place.observe(1)),
        (gauge("livesum"), lambda place: place.set(1)),
        (gauge("livesum"), lambda place: place.inc()),
        (TURNS, lambda place: place.cell(0).inc(1)),
    ]
    for definition, count in counts:
        place = getattr(form, f"{definition.kind.capitalize()}Place")(definition)

        memory = Memory()

        def ask(memory: Memory = memory, place: Any = place, name: str = definition.name) -> None:
            asked.append(name)
            if len(asked) == 2:
                place.move(memory.target(form), layout.PAGE_CELLS)

        asked.clear()
        assert place.before_count is None
        place.before_count = ask
        for _ in range(3):
            count(place)
            place.counted()
        assert asked == [definition.name] * 2
        assert place.before_count is None
        place.before_count = ask
        place.before_count = None
        count(place)
        assert len(asked) == 2
    assert memory.row[layout.PAGE_CELLS] == 4


@in_each_form
def test_what_it_raises_comes_to_who_counts(form: ModuleType) -> None:
    """And nothing is counted. It is for who sets it to raise nothing."""
    place = form.CounterPlace(TURNS)
    place.before_count = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        place.inc()
    assert place.counted() == [0, 0]
