"""Shared by tests of the jobs' endpoints, and of counting."""

import shutil
from types import SimpleNamespace

import pytest

from hvd.runtime import Runtime
from hvd.web import counting
from tests.unit.web.desk import Client, FakeDesk
from tests.unit.web.exchange import FakeRow


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def client(desk: FakeDesk) -> Client:
    return Client(desk)


@pytest.fixture(params=["compiled", "Python"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tests run on both forms; where there is no compiler, there is none of the first to be tested."""
    if request.param == "Python":
        monkeypatch.setattr(counting, "compiled", None)
    elif counting.compiled is None:
        assert shutil.which("cc") is None, "there is a compiler, and hvd.web._counting could not be imported"
        pytest.skip("no compiler")


@pytest.fixture
def row() -> FakeRow:
    return FakeRow()


@pytest.fixture
def runtime(row: FakeRow) -> Runtime:
    runtime = Runtime()
    runtime.fill(SimpleNamespace(rows=SimpleNamespace(local=SimpleNamespace(row=row))))  # type: ignore[arg-type]
    return runtime
