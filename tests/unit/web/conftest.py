"""Shared by tests of the jobs' endpoints."""

import pytest

from tests.unit.web.desk import Client, FakeDesk


@pytest.fixture
def desk() -> FakeDesk:
    return FakeDesk()


@pytest.fixture
def client(desk: FakeDesk) -> Client:
    return Client(desk)
