"""The last minute of a real daemon: what clients counted, whatever happens to hvd meanwhile."""

import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hvd.core.journal import spans_of
from tests.support.guest import Guest
from tests.support.http import load
from tests.support.server import upgradable
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

SHOP = """\
import time
from urllib.parse import parse_qs

def app(environ, start_response):
    environ["hvd.route"] = environ["PATH_INFO"]
    wanted = parse_qs(environ["QUERY_STRING"])
    time.sleep(float(wanted.get("s", ["0"])[0]))
    start_response(wanted.get("status", ["200"])[0] + " as wanted", [("Content-Length", "2")])
    return [b"ok"]
"""
ROUTES = [f"/r/{number}" for number in range(68)]
WORKERS = 16


class Shop:
    """The daemon, and what its clients have counted."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.began = time.time() - 120
        self.counted: Counter[tuple[str, str]] = Counter()

    def serve(self, *paths: str, requests: int) -> None:
        """So many answers, to these paths at random."""
        tally = load(self.guest.address, paths, clients=8, requests=requests)
        assert not tally.failed
        for (path, status), number in tally.received.items():
            self.counted[path.partition("?")[0], str(status)] += number
        self.guest.wait_idle()

    def routes(self, query: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = self.guest.admin_get(f"/api/v1/routes{query}").json()
        return answer

    def records(self) -> int:
        with self.guest.opened() as block:
            return spans_of(block).newest

    def check(self) -> None:
        """All that clients counted is in the spans since the start, exactly; and in the last minute, if that is all."""
        answer = self.routes(f"?from={self.began}")
        assert counts(answer["routes"]) == self.counted
        assert answer["service"]["requests"] == self.counted.total()
        failed = self.failed()
        assert (answer["service"]["client_errors"], answer["service"]["server_errors"]) == (failed["4"], failed["5"])
        if answer["seconds"] > 45:
            return  # the machine is slow today
        until(lambda: self._told() == self.counted, "each route's last minute is told to who asks for details")
        raw = until(
            lambda: raw if (raw := self._raw())["requests"] >= self.counted.total() else None, "so it is of all"
        )
        assert (raw["requests"], raw["server_errors"]) == (self.counted.total(), failed["5"])

    def failed(self) -> Counter[str]:
        """Errors of clients and of the server, by the first digit of their status."""
        failed = Counter[str]()
        for (_, status), number in self.counted.items():
            failed[status[0]] += number
        return failed

    def check_workers(self) -> None:
        """All that clients counted is in the workers' figures too, while each has lived since the start."""
        failed = self.failed()
        workers = self.guest.snapshot()["workers"]
        for which, status in (("client_errors", "4"), ("server_errors", "5")):
            assert sum(worker[which] for worker in workers) == failed[status] > 0

    def _told(self) -> Counter[tuple[str, str]]:
        with RawWebSocket(self.guest.admin_address, "/ws?detail=1") as client:
            routes = client.message("detail")["data"]["routes"]
        return counts([route["last_minute"] for route in routes if route["last_minute"]])

    def _raw(self) -> dict[str, Any]:
        last: dict[str, Any] | None = self.guest.snapshot()["last_minute"]
        return last or {"requests": 0}


def counts(routes: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    return Counter({(one["route"], status): number for one in routes for status, number in one["statuses"].items()})


def test_the_last_minute_is_what_clients_counted(tmp_path: Path) -> None:
    """Of 70 routes and 16 workers: one that begins to fail and one that gets slow are told, whatever happens to hvd."""
    arguments = ("--preload", "-k", "gthread", "--threads", "2")
    guest = upgradable(Guest(tmp_path, files={"shop.py": SHOP}, workers=WORKERS, arguments=arguments, interval=0.5))
    with guest:
        shop = Shop(guest)
        shop.serve("/pay", "/slow", *ROUTES, requests=1400)
        shop.serve("/r/0?status=404", requests=7)
        shop.check()
        (aggregator,) = guest.pids("aggregator")
        os.kill(aggregator, signal.SIGKILL)
        shop.serve("/pay", "/slow", requests=200)
        until(lambda: guest.pids("aggregator") not in ([], [aggregator]), "it is replaced")
        shop.check()
        until(lambda: shop.records() >= 1, "a record of ten seconds")
        began = shop.routes()
        shop.serve("/pay?status=503", "/pay", "/slow?s=0.5", requests=240)
        shop.check()
        shop.check_workers()
        changes = shop.routes(f"?from={began['to']}")["changes"]
        texts = {(change["route"], change["what"]): change["text"] for change in changes if change["is_bad"]}
        assert list(texts)[:2] == [("", "server_error_rate"), ("/pay", "server_error_rate")]
        assert texts["/pay", "server_error_rate"].startswith("/pay: 5xx 0 % → ")
        assert "/slow: p99 " in texts["/slow", "p99_ms"]
        assert not {route for route, what in texts if route.startswith("/r/") and what != "requests_per_second"}
        guest.signal(signal.SIGUSR2)
        until(lambda: len(guest.pids("worker")) == 2 * WORKERS, "both masters have their workers", 30)
        with guest.opened() as block:
            guest.signal(signal.SIGTERM)
            guest.wait()
            until(lambda: len(block.masters()) == 1, "the new one is alone", 30)
        shop.serve("/pay", requests=50)
        shop.check()
        workers = guest.admin_get("/api/v1/workers").json()["workers"]
        assert {worker["pid"] for worker in workers if worker["kind"] == "worker"}
        everything = {route["route"]: route["statuses"] for route in shop.routes("?all=1")["routes"]}
        assert everything == {route["route"]: route["statuses"] for route in guest.snapshot()["routes"]}
        assert len(everything) == len(ROUTES) + 2
        guest.stop_successor()
