"""What is compiled, called with anything at all."""

import os
import subprocess
import sys

import pytest

FUZZ = """
import itertools, random, sys
from types import SimpleNamespace
from hvd.core import _hotrow
from hvd.instrument import _counting, wsgi
from hvd.instrument.wsgi import EXCHANGE, METHODS

class Liar(str): pass
class Raises:
    def __getattribute__(self, name): raise ValueError(name)
things = [None, 0, -1, 2**70, 1.5, b"", b"200 OK", bytearray(9000), "", "GET", "\\ud800", Liar("200"), [], [b"x"],
          (), {}, set(), METHODS, object, object(), Raises(), SimpleNamespace(env={}),
          SimpleNamespace(env=None, uri_template=None),
          SimpleNamespace(local=SimpleNamespace(row=None)), lambda *a, **k: None, iter([b"x"]), Exception, Exception(),
          memoryview(bytearray(4096)), sys, {EXCHANGE: None}, {"REQUEST_METHOD": [], "PATH_INFO": []}]
pick = random.Random(int(sys.argv[1])).choice
parts = "begin", "respond", "pass_on", "finish", "interrupted", "exchange"
def row(): return SimpleNamespace(**{name: pick(things) for name in parts})
def nothing(*arguments, **named): return None
class Closing:  # a body that ends its own exchange while it is asked for
    def __init__(self, environ): self.environ = environ
    def __iter__(self):
        self.environ[EXCHANGE].close(); self.environ[EXCHANGE]("204 x", []); return iter([b"x", b"y"])
    def __next__(self): self.environ[EXCHANGE].finish(); return b"z"
def attempt(function, *arguments, **named):
    try: return function(*arguments, **named)
    except Exception: return None
def some(most): return [pick(things) for _ in range(random.randint(0, most))]

def one_round():
    for function in (_counting.post_request, _counting.name_route, _counting.Counted, _counting.Counted.__new__,
                     _hotrow.HotRow, _hotrow.HotRow.__new__, _hotrow.set_bounds, _hotrow.sum_rows, _hotrow.cumulate,
                     _hotrow.fence):
        attempt(function, *some(8))
        attempt(function, *some(3), **{"head": pick(things)})
    made = attempt(_hotrow.HotRow, memoryview(bytearray(8 * 400)), 0, 400, pick([{}, {("GET", "/", "200"): 20}, None]))
    for target in (made, attempt(_hotrow.HotRow.__new__, _hotrow.HotRow)):
        for name in ("begin", "respond", "pass_on", "finish", "record"):
            attempt(getattr(target, name), *some(4))
        attempt(setattr, target, "interrupted", pick(things)); attempt(delattr, target, "interrupted")
        attempt(getattr, target, "interrupted"); attempt(setattr, target, "exchange", pick(things))
    good = SimpleNamespace(**{**dict.fromkeys(parts, nothing), "interrupted": None, "exchange": None})
    here = SimpleNamespace(local=SimpleNamespace(row=pick([good, good, row()])))
    def app(environ, start_response):
        for _ in range(2):
            write = attempt(start_response, *some(4))
            attempt(write, *some(2))
        start_response(**{pick(["status", "x", "headers"]): pick(things)})
        return Closing(environ) if random.random() < 0.2 else pick(things)
    counted = _counting.Counted(here, pick([app, app, app, pick(things)]), METHODS, pick(["(other)", None]),
                                pick(["(unmatched)", None]), pick([wsgi._broke_off] * 5 + things),
                                pick([True, False]), pick([True, False]))
    environ = pick([{"REQUEST_METHOD": pick(things), "PATH_INFO": "/"}, {"REQUEST_METHOD": "GET", "PATH_INFO": "/"}])
    body = attempt(counted, environ, pick([nothing, nothing, pick(things)]))
    exchange = environ.get(EXCHANGE)
    for _ in range(3):
        attempt(next, exchange)
    attempt(counted, *some(3))
    for name in random.sample(["close", "pass_on", "finish", "write", "__call__", "__next__", "__iter__"], 7):
        attempt(getattr(exchange, name, nothing), *some(1))
        for field in ("row", "method", "route", "is_counted"):
            attempt(getattr, exchange, field); attempt(setattr, exchange, field, pick(things))
    attempt(_counting.name_route, SimpleNamespace(env=environ, uri_template=pick(things)), 0, 0, 0)
    attempt(_counting.post_request, 0, 0, environ, 0)
    attempt(type(exchange))

for _ in range(3000):
    one_round()
_hotrow.set_bounds(range(170))
print("survived")
"""


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("form", ["compiled"], indirect=True)
def test_no_argument_of_any_type_ends_the_process() -> None:
    """What is compiled checks a type before it looks inside: bytes as status were read as text once (SIGSEGV)."""
    environ = {"PYTHONMALLOC": "debug", **os.environ}
    seed = str(int.from_bytes(os.urandom(4), "big"))
    run = subprocess.run([sys.executable, "-c", FUZZ, seed], capture_output=True, text=True, env=environ, check=False)
    assert (run.returncode, run.stdout) == (0, "survived\n"), f"seed {seed}: {run.returncode} {run.stderr[-2000:]}"
