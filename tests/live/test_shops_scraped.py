"""A real Prometheus scrapes a shop through deaths, reloads and an upgrade to a version of it with other metrics."""

import os
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Self

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.guest import Guest
from tests.support.prometheus import Prometheus
from tests.support.server import upgradable
from tests.support.waiting import until

HEAD = """\
import threading
from prometheus_client import Counter, Gauge, Histogram

TAKEN = Counter("shop_taken", "Orders taken.", ["item"])
SERVES = Gauge("shop_serves", "1 where a worker serves.", ["version"])
SIZES = Histogram("shop_sizes", "Pieces.", buckets={buckets})
SECONDS = Histogram("shop_seconds", "How long an order takes.")
KINDS = Counter("shop_kinds", "Orders by kind.", {labels})
{more}
SERVES.labels("{version}").set(1)

def app(environ, start_response):
    start, path = environ["PATH_INFO"].split("/")[1:]
    if start == "stock":
        TAKEN.labels("tea").inc(int(path))
    TAKEN.labels("tea").inc()
    SECONDS.observe(0.5)
    SIZES.observe(3)
    KINDS.labels(*{values}).inc()
    {then}
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{version}"]
"""
FIRST = HEAD.format(version="1", buckets=(1, 5), labels=["kind"], values=("leaf",), more="", then="")
SECOND = HEAD.format(
    version="2",
    buckets=(2, 4, 8),
    labels=["kind", "size"],
    values=("leaf", "big"),
    more='NEW = Counter("shop_new", "Only in version 2.")',
    then="NEW.inc()",
)
STOCK = 1_000_000
"""How many are counted before the first scrape: what counts them anew, or twice, is a spike far beyond CUSTOMERS."""
CUSTOMERS, PAUSE = 3, 0.02
WORKERS = 2
GTHREAD = ("-k", "gthread", "--threads", "4")
UNANSWERED = ""


class Customers:
    """So many of them, who order all the time, each on a connection that it keeps; what they were answered."""

    def __init__(self, guest: Guest) -> None:
        self.answers: Counter[str] = Counter()
        self._guest, self._over = guest, threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run) for _ in range(CUSTOMERS)]

    def _run(self) -> None:
        with self._guest.connection() as connection:
            while not self._over.wait(PAUSE):
                try:
                    answer = connection.get("/order/1").body.decode()
                except OSError:
                    answer = UNANSWERED
                with self._lock:
                    self.answers[answer] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def check(self, value: float | None, *answers: str) -> None:
        """A figure is as many as had these answers, and some of those that had none may be in it."""
        least = sum(self.answers[answer] for answer in answers)
        assert value is not None
        assert least <= value <= least + self.answers[UNANSWERED], (value, self.answers)


class Scraped:
    """The shop and the Prometheus that scrapes its admin address."""

    def __init__(self, guest: Guest, prometheus: Prometheus) -> None:
        self.guest, self.prometheus = guest, prometheus

    def wait(self, more: int = 2) -> None:
        """Until it has scraped so often again."""
        enough = self._scrapes() + more
        until(lambda: self._scrapes() >= enough, f"Prometheus scrapes {more} times more", 30, pause=0.1)

    def _scrapes(self) -> int:
        return int(self.prometheus.value("sum_over_time(up[10m])") or 0)

    def check_living(self) -> None:
        """What is shown by process is of the workers that live, and of no other."""

        def shown() -> bool:
            found = {series["metric"]["pid"] for series in self.prometheus.query("shop_serves")}
            return found == set(map(str, self.guest.pids("worker")))

        until(shown, "the gauges are of the workers that live", 20, pause=0.1)

    def kill(self, kind: str) -> None:
        """One of these processes, which is replaced."""
        pid = self.guest.pids(kind)[0]
        os.kill(pid, signal.SIGKILL)
        until(
            lambda: pid not in (pids := self.guest.pids(kind)) and len(pids) >= (WORKERS if kind == "worker" else 1),
            f"the killed {kind} is replaced",
            20,
        )

    def check_counters(self) -> None:
        """None went back, and none jumped: at no moment more was counted than the customers can have ordered."""
        kept = "_taken_total", "_seconds_bucket", "_seconds_count", "_seconds_sum", "_new_total"
        for name in map("shop{}".format, kept):
            (resets,) = self.prometheus.query(f"max(resets({name}[10m]))")
            assert float(resets["value"][1]) == 0, name
            rates = f"rate({name}[5s])[10m:1s]"
            assert (self.prometheus.value(f"min(min_over_time({rates}))") or 0) >= 0, name
            highest = self.prometheus.value(f"max(max_over_time({rates}))")
            assert highest is not None
            assert highest < 2 * CUSTOMERS / PAUSE, name


def labels_of(guest: Guest, family: str) -> list[dict[str, str]]:
    """Of the samples that hvd shows of a family."""
    text = guest.hvd_get("/metrics").body.decode()
    return [dict(sample.labels) for each in parse(text) if each.name == family for sample in each.samples]


@pytest.mark.long(18)
def test_scrapes_through_deaths_reloads_and_an_upgrade_to_other_metrics(tmp_path: Path) -> None:
    """No reset, no spike, no series of the dead. Metrics that the new version declares otherwise are the old version's
    until its last worker has gone, then the new one's, complete; a new metric is there at once.
    """
    guest = upgradable(
        Guest(tmp_path, files={"shop.py": FIRST}, workers=WORKERS, arguments=GTHREAD, admin_bind="127.0.0.1:0")
    )
    with guest:
        guest.get(f"/stock/{STOCK}")
        host, port = guest.admin_address
        with Prometheus(tmp_path, (str(host), int(port))) as prometheus:
            scraped = Scraped(guest, prometheus)
            scraped.wait(1)
            with Customers(guest) as customers:
                for disturb in (lambda: scraped.kill("worker"), guest.reload, lambda: scraped.kill("admin_server")):
                    disturb()
                    scraped.check_living()
                upgrade(scraped, tmp_path / "shop.py")
                scraped.kill("worker")
                scraped.wait()
            guest.wait_idle()
            scraped.wait()
            scraped.check_living()
            taken = prometheus.value("shop_taken_total")
            customers.check((taken or 0) - STOCK - 1, "1", "2")
            customers.check(prometheus.value("sum(shop_kinds_total)"), "2")
            customers.check(prometheus.value("shop_sizes_count"), "2")
            customers.check(prometheus.value("shop_new_total"), "2")
            scraped.check_counters()
        guest.stop_successor()


def upgrade(scraped: Scraped, shop: Path) -> None:
    """To the second version, while both serve for some seconds."""
    guest = scraped.guest
    shop.write_text(SECOND)
    guest.signal(signal.SIGUSR2)
    until(lambda: len(guest.pids("worker")) == 2 * WORKERS, "both versions serve", 30)
    until(lambda: labels_of(guest, "shop_new"), "the new metric is there")
    scraped.wait()
    assert labels_of(guest, "shop_kinds") == [{"kind": "leaf"}]
    assert bounds(guest) == {"1.0", "5.0", "+Inf"}
    conflicts = guest.samples("hvd_family_conflicts_total", "family")
    assert conflicts == {("shop_kinds",): 1, ("shop_sizes",): 1}
    with guest.opened() as block:
        guest.signal(signal.SIGTERM)
        assert guest.wait(60) == 0
        until(lambda: len(block.masters()) == 1, "the new one is alone", 30)
    until(lambda: bounds(guest) == {"2.0", "4.0", "8.0", "+Inf"}, "the new version's buckets are shown")
    assert labels_of(guest, "shop_kinds") == [{"kind": "leaf", "size": "big"}]


def bounds(guest: Guest) -> set[str]:
    return {labels["le"] for labels in labels_of(guest, "shop_sizes") if "le" in labels}
