"""Thousands of clients that are slow, idle or hostile: who is honest waits for none, at the admin address or nginx."""

import resource
from collections.abc import Iterator

import psutil
import pytest

from tests.support.floods import FLOODS, flood, percentile_99
from tests.support.http import Address
from tests.support.proxies import Nginx
from tests.support.server import Server
from tests.support.waiting import PATIENCE, until

LIMIT = 0.1  # s that the 99th percentile may take
PROBES = 200
MOST_CLIENTS = 500
MOST_DESCRIPTORS = {"worker": 1100, "aggregator": MOST_CLIENTS + 50, "admin_server": 4200}
MOST_MEMORY = 300 * 1024 * 1024  # bytes of a process: what incomplete requests may have, 128 MiB, and what it is else


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Nginx]]:
    """A daemon and nginx before it; this process may have as many descriptors as the largest flood has clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 20_000), hard))
    folder = tmp_path_factory.mktemp("floods")
    try:
        with (
            Server(folder, workers=2, threads=4, interval=0.5, max_clients=MOST_CLIENTS) as server,
            Nginx(folder, server.address, server.admin_address) as nginx,
        ):
            yield server, nginx
        assert not server.alarms
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def processes(server: Server) -> dict[str, list[psutil.Process]]:
    return {kind: [psutil.Process(pid) for pid in server.pids(kind)] for kind in MOST_DESCRIPTORS}


def answers(address: Address) -> bool:
    """Not while its backlog is full."""
    try:
        return percentile_99(address, 1) < LIMIT
    except OSError:
        return False


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_delays_no_honest_client(served: tuple[Server, Nginx], name: str) -> None:
    """At the service, at nginx, and at the admin address itself; nothing grows beyond its limit, or stays."""
    server, nginx = served
    before = {process.pid: process.num_fds() for group in processes(server).values() for process in group}
    for address, honest in (
        (server.address, server.admin_address),
        (nginx.address, nginx.address),
        (server.admin_address, server.admin_address),
    ):
        if name == "idle" and address == server.address:
            continue  # without nginx they fill the places and the backlog, and [limits] end them
        with flood(address, name) as connected:
            assert connected > 0.4 * FLOODS[name][0]
            until(lambda honest=honest: answers(honest), "all that waited to be accepted are", 3)  # type: ignore[misc]
            assert percentile_99(honest, PROBES) < LIMIT * PATIENCE, (address, honest)
            for kind, group in processes(server).items():
                for process in group:
                    assert process.num_fds() <= MOST_DESCRIPTORS[kind]
                    assert process.memory_info().rss < MOST_MEMORY

    def is_over() -> bool:
        return all(psutil.Process(pid).num_fds() <= number + 5 for pid, number in before.items())

    until(is_over, f"the descriptors are {before} again", 30)
