"""A daemon for WebSocket clients of all kinds, one of them that nothing may delay."""

from collections.abc import Iterator

import pytest

from tests.support.server import Server
from tests.support.waiting import PATIENCE, until
from tests.support.websocket import INTERVAL, Witness, clients


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Pings every half second, answered within another, on a slow machine a longer one; at most 12 clients."""
    pings = {"max_clients": 12, "ping_interval": 0.5, "ping_timeout": 0.5 * PATIENCE}
    with Server(tmp_path_factory.mktemp("websocket"), workers=2, threads=2, interval=INTERVAL, **pings) as server:
        yield server
    assert [line for line in server.alarms if "Invalid" not in line] == []


@pytest.fixture
def witness(server: Server) -> Iterator[Witness]:
    """The other client, which nothing may delay; afterwards nobody is left."""
    until(lambda: clients(server) == 0, "no client is there before the test")
    with Witness(server.address) as witness:
        yield witness
        until(lambda: clients(server) == 1, "only the witness is there")
        assert witness.worst_gap < INTERVAL + 1 * PATIENCE
        assert witness.end is None
    until(lambda: clients(server) == 0, "no client is left")
    handed_over = server.sample("hvd_http_requests_total", method="GET", route="/ws", status="101")
    assert handed_over == server.sample("hvd_websocket_connections_total")
