"""Calls all that is compiled with arguments of any type.

`python -m tests.unit.instrument.fuzz SEED crash` ends where the process does. `… leaks` makes the same calls several
times, and prints of what there is more after the later ones: references to the arguments, blocks of memory.
"""

import gc
import importlib
import random
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from hvd.instrument import wsgi
from hvd.instrument.counting import counting as process
from hvd.instrument.wsgi import EXCHANGE, METHODS, OTHER, UNMATCHED
from tests.unit.instrument.exchange import EXTRAS, fresh

hotrow: Any = importlib.import_module("hvd.core._hotrow")
counting: Any = importlib.import_module("hvd.instrument._counting")


class Text(str):
    """No str itself, and takes attributes."""


class Raises:
    """Has no attribute, in another way than others."""

    def __getattribute__(self, name: str) -> Any:
        raise ValueError(name)


def nothing(*arguments: Any, **named: Any) -> None:
    """Takes all there is."""


RESULT = object()


def something(*arguments: Any, **named: Any) -> object:
    """Takes all there is, and gives an object."""
    return RESULT


class Row(hotrow.HotRow):  # type: ignore[misc]
    """A row that has what the compiled one calls."""

    abandon = something


class Closing:
    """A body that ends its own exchange while it is read."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self._exchange = environ[EXCHANGE]

    def __iter__(self) -> Iterator[bytes]:
        self._exchange.close()
        self._exchange("204 x", [])
        return iter([b"x", b"y"])

    def __next__(self) -> bytes:
        self._exchange.finish()
        return b"z"


RUN = 1000
"""First cell of the run of LABELS: a number that Python makes anew each time, unlike small ones."""

LABELS = ("GET", "/", "200")
CELLS = 2000
PARTS = ("begin", "respond", "pass_on", "finish", "measure", "add", "interrupted", "exchange")
THINGS = [
    *(None, 0, -1, 2**70, 1.5, b"", b"200 OK", bytearray(9000), "", "GET", "\ud800", Text("200"), "/€"),
    *([], [b"x"], [RUN], (), LABELS, {}, {LABELS: RUN}, set(), METHODS, object, object(), Raises(), sys),
    *(SimpleNamespace(env={}), SimpleNamespace(local=SimpleNamespace(row=None)), {EXCHANGE: None}),
    *({"REQUEST_METHOD": [], "PATH_INFO": []}, nothing, iter([b"x"]), Exception, Exception()),
    *(memoryview(bytearray(4096)), True),
]
"""Arguments. They change while they are used."""

TRACKED: list[Any] = [
    *THINGS[1:],
    *METHODS,
    *LABELS,
    RUN,
    OTHER,
    UNMATCHED,
    EXCHANGE,
    nothing,
    wsgi._broke_off,
    wsgi._is_part,
    wsgi._is_excluded,
    process,
    Closing,
    RESULT,
    *(TypeError, ValueError, RuntimeError),
]
"""Objects that nobody may keep a reference to: all but None, of which there are as many as Python likes."""

SLACK, BLOCKS_SLACK = 10, 250
"""References to an object, and blocks, that may be more: what the last round left in objects that change."""


def attempt(function: Any, *arguments: Any, **named: Any) -> Any:
    """What the call gives; None where it raises."""
    try:
        return function(*arguments, **named)
    except Exception:
        return None


class Fuzz:
    """Rounds of calls; a seed says which."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._counted: Any = None

    def _pick(self, *things: Any) -> Any:
        return self._random.choice(things or THINGS)

    def _some(self, most: int) -> list[Any]:
        return [self._pick() for _ in range(self._random.randint(0, most))]

    def one_round(self) -> None:
        self._call_functions()
        self._call_row()
        self._serve()

    def _call_functions(self) -> None:
        for module, names in ((counting, ("post_request", "Counted")), (hotrow, hotrow_names())):
            for function in (getattr(module, name) for name in names):
                attempt(function, *self._some(8))
                attempt(function, *self._some(3), head=self._pick())
        for made in (counting.Counted, hotrow.HotRow):
            attempt(made.__new__, made, *self._some(4))
        hotrow.set_bounds(range(100))
        raw = memoryview(bytearray(8 * CELLS))
        attempt(hotrow.sum_rows, raw, [0, self._pick(600, RUN, None)], self._pick(600, 2000, -1, None), 3)
        attempt(hotrow.cumulate, raw, self._pick(0, RUN, -1, None), self._pick((1, 5), (RUN, 1), (None,), (2**70,)))

    def _call_row(self) -> None:
        raw, known = memoryview(bytearray(8 * CELLS)), self._pick({}, {LABELS: RUN}, {LABELS: None}, None)
        made = attempt(Row, raw, 0, CELLS, known)
        for row in (made, attempt(hotrow.HotRow.__new__, hotrow.HotRow)):
            for arguments in (self._some(4), LABELS, (LABELS,), (LABELS, self._pick()), ({LABELS: RUN}, LABELS, RUN)):
                for name in ("begin", "respond", "pass_on", "record", "finish"):
                    attempt(getattr(row, name, nothing), *arguments)
            for name in ("interrupted", "exchange", "base"):
                attempt(setattr, row, name, self._pick())
                attempt(getattr, row, name)
                attempt(delattr, row, self._pick("interrupted", "exchange"))
            attempt(getattr(row, "__init__", nothing), raw, 0, CELLS, known)

    def _app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if self._random.random() < 0.2:
            attempt(self._counted, fresh(environ), nothing)
        if self._random.random() < 0.2:
            return self._pick()
        for _ in range(2):
            write = attempt(start_response, *self._some(4))
            attempt(write, *self._some(2))
        start_response(**{self._pick("status", "x", "headers"): self._pick()})
        return Closing(environ) if self._random.random() < 0.2 else self._pick()

    def _serve(self) -> None:
        good = SimpleNamespace(**{**dict.fromkeys(PARTS, something), "interrupted": None, "exchange": None})
        odd = SimpleNamespace(**{name: self._pick() for name in PARTS})
        here = SimpleNamespace(local=SimpleNamespace(row=self._pick(good, good, odd)))
        helpers = wsgi._broke_off, wsgi._is_part, wsgi._is_excluded, something
        rules = *(OTHER, UNMATCHED, process), *(self._pick(*[helper] * 5, *THINGS) for helper in helpers)
        counted = self._counted = attempt(
            counting.Counted,
            here,
            self._pick(*[self._app] * 3, self._pick()),
            self._pick(*[(METHODS, *rules)] * 5, (METHODS, *self._some(7)), self._pick()),
            self._pick(True, False),
        )
        vars(process)["extras"] = self._pick(
            EXTRAS, EXTRAS, SimpleNamespace(local=None, sizes=self._pick(), queued=self._pick())
        )
        environ = {"REQUEST_METHOD": self._pick("GET", self._pick()), "PATH_INFO": "/"}
        attempt(counted, environ, self._pick(something, something, self._pick()))
        exchange = environ.get(EXCHANGE)
        for _ in range(3):
            attempt(next, exchange)
        attempt(counted, *self._some(3))
        for name in self._random.sample(["close", "pass_on", "finish", "write", "__call__", "__next__", "__iter__"], 7):
            attempt(getattr(exchange, name, nothing), *self._some(1))
            for field in ("row", "environ", "method", "route", "is_left", "is_counted"):
                attempt(getattr, exchange, field)
                attempt(setattr, exchange, field, self._pick())
        attempt(delattr, exchange, "route")
        attempt(counting.post_request, 0, 0, environ, 0)
        attempt(type(exchange))


def hotrow_names() -> list[str]:
    """The functions and the type of the compiled row."""
    return sorted(name for name in vars(hotrow) if callable(getattr(hotrow, name)) and not name.startswith("__"))


def kept(seed: int, rounds: int = 1000, times: int = 3) -> list[str]:
    """What there is clearly more of after so many rounds, made `times` times more."""

    def again() -> None:
        fuzz = Fuzz(seed)
        for _ in range(rounds):
            fuzz.one_round()
        gc.collect()

    def counts() -> list[int]:
        return [sys.getallocatedblocks(), *map(sys.getrefcount, TRACKED)]

    again()  # what is made once, and kept
    again()
    before = counts()
    for _ in range(times):
        again()
    blocks, *references = (now - then for now, then in zip(counts(), before, strict=True))
    counted = zip(TRACKED, references, strict=True)
    more = [f"{count} references to {thing!a:.50}" for thing, count in counted if count > SLACK]
    return [f"{blocks} blocks of memory", *more] if more or blocks > BLOCKS_SLACK else []


if __name__ == "__main__":
    seed = int(sys.argv[1])
    if sys.argv[2] == "leaks":
        print(kept(seed))
    else:
        fuzz = Fuzz(seed)
        for _ in range(3000):
            fuzz.one_round()
        print("survived")
