"""Shared by tests of counting: both forms of it, and a process that counts into a row that notes."""

import shutil
from types import SimpleNamespace

import pytest

from hvd.instrument import extras, wsgi
from hvd.instrument.counting import counting
from hvd.web.here import Here
from tests.unit.instrument.exchange import EXTRAS, FakeRow


@pytest.fixture(params=["compiled", "Python"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests run on both forms; where there is no compiler, there is none of the first to be tested."""
    if request.param == "Python":
        monkeypatch.setattr(wsgi, "compiled", None)
        monkeypatch.setattr(extras, "measure", extras.measure_in_python)
    elif wsgi.compiled is None:
        assert shutil.which("cc") is None, "there is a compiler, and hvd.instrument._counting could not be imported"
        pytest.skip("no compiler")


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a server, which `outermost` says there is, and with extras that a row may note."""
    monkeypatch.setattr(counting, "is_server", False)
    monkeypatch.setitem(vars(counting), "extras", EXTRAS)


@pytest.fixture
def row() -> FakeRow:
    return FakeRow()


@pytest.fixture
def here(row: FakeRow) -> Here:
    here = Here()
    here.local = SimpleNamespace(row=row)  # type: ignore[assignment]
    return here
