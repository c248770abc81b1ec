"""Two versions share a block during an upgrade, and back: one has a metric family more than the other."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.support.http import load
from tests.support.server import ROOT, Server, upgradable
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

APP = """
from hvd.metrics.table import FAMILIES
from hvd.web.here import here
from tests.support.app import app as inner

def app(environ, start_response):
    for novel in [family for family in FAMILIES.all if family.key == "novel"]:
        if environ["PATH_INFO"] == "/hello":
            here.parts.rows.count(novel, ("hello",))
    return inner(environ, start_response)
"""

MORE = """
FAMILIES = Families(HTTP, ABORTED, (*FAMILIES.others, Family("novel", ("what",))))
METRICS = (*METRICS, _counter("hvd_novel_total", "New.", FAMILIES.others[-1]))
"""
"""What the newer version's table of metrics has more."""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with `older`, `newer`, and the link `now`, which is where a master that starts finds its modules."""
    newer = tmp_path / "newer"
    shutil.copytree(ROOT / "hvd", newer / "hvd", ignore=shutil.ignore_patterns("__pycache__"))
    with (newer / "hvd/metrics/table.py").open("a") as table:
        table.write(MORE)
    (newer / "tests").symlink_to(ROOT / "tests")
    (tmp_path / "older").symlink_to(ROOT)
    (tmp_path / "versioned.py").write_text(APP)
    return tmp_path


def use(site: Path, version: str) -> None:
    """The next master that is executed is of that version."""
    (site / "next").symlink_to(site / version)
    (site / "next").rename(site / "now")


def told(server: Server, metric: str, *, novel: bool) -> int:
    """The sum of a counter's samples, as a worker tells it that knows the novel family, or that does not."""

    def ask() -> dict[str, float] | None:
        sums = dict.fromkeys([metric], 0.0)
        for (name, _), value in server.metrics().items():
            sums[name] = sums.get(name, 0.0) + value
        return sums if ("hvd_novel_total" in sums) == novel else None

    return int((until(ask, "a worker of that version answers", 30) or {})[metric])


def counts_novel(server: Server) -> bool:
    """Whether one of some more requests reached the newer version."""
    load(server.address, ["/hello"], clients=4, requests=8)
    return told(server, "hvd_novel_total", novel=True) > 0


@pytest.mark.parametrize("first", ["older", "newer"])
def test_a_version_with_one_family_more_shares_the_block(site: Path, first: str) -> None:
    """Both serve and count, and tell the same; no process of either ends; whoever stays has all the counts."""
    second = "newer" if first == "older" else "older"
    environ = {"PYTHONPATH": f"{site / 'now'}:{site}"}
    server = Server(
        site, app="versioned:app", workers=2, interval=0.2, graceful_timeout=int(5 * PATIENCE), environ=environ
    )
    use(site, first)
    with upgradable(server), server.opened() as block:
        old = set(server.pids("aggregator")) | set(server.pids("worker"))
        assert load(server.address, ["/hello"], clients=4, requests=100).responses == 100
        use(site, second)
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.pids("worker")) == 4 and len(server.pids("aggregator")) == 2, "both serve", 30)
        (new,) = set(block.masters()) - {server.pid}
        with RawWebSocket(server.address) as client:
            clients_of = [client.message()["data"]["raw"]["websocket_clients"]]
            assert load(server.address, ["/items/1", "/nowhere"], clients=4, requests=400).responses == 400
            until(lambda: counts_novel(server), "the newer version counts its own", 30)
            before = [told(server, "hvd_http_requests_finished_total", novel=novel) for novel in (True, False, True)]
            assert before == sorted(before)
            assert server.counted()["/items/{number}", 200] == server.counted()["/items/{number}", 200] > 0
            clients_of.append(client.message()["data"]["raw"]["websocket_clients"])
        assert clients_of[-1] == 1
        assert old <= set(server.pids("aggregator")) | set(server.pids("worker"))
        counted = server.counted()
        server.signal(signal.SIGTERM)
        assert server.wait(30) == 0
        until(lambda: len(server.pids("worker")) == 2 and block.masters() == [new], "the first has left", 30)
        after = server.counted()
        assert all(after[key] >= value for key, value in counted.items())
        assert server.snapshot()["requests"]["aborted"] == 0
        assert "Traceback" not in server.log
        assert not [line for line in server.log.splitlines() if "[ERROR]" in line]
        server.stop_successor()
