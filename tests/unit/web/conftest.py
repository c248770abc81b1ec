"""Shared by tests of the jobs' endpoints."""

import pytest

from tests.unit.web.job_service import Client, FakeJobService


@pytest.fixture
def service() -> FakeJobService:
    return FakeJobService()


@pytest.fixture
def client(service: FakeJobService) -> Client:
    return Client(service)
