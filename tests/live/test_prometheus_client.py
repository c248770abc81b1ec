"""Services that count with prometheus_client, with its front in force, or with its files. Libraries: test_shops.py."""

import re
from pathlib import Path

from tests.support.guest import Guest, Run
from tests.support.waiting import until

SHOP = """
import os, subprocess, sys
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, REGISTRY

ORDERS, LOADED = Counter("orders", "Orders.", ["shop"]), Counter("loaded", "Loaded.")
LEVEL = Gauge("level", "Level.", multiprocess_mode="livemax")
LEVEL.set_function(lambda: os.getpid())
OWN = CollectorRegistry()
HIDDEN = Counter("hidden", "Hidden.", registry=OWN)
LOADED.inc()


def pushed():
    registry = CollectorRegistry()
    Counter("pushed", "Pushed.", registry=registry).inc()
    return generate_latest(registry)


def inherited():
    show = "import os; print(os.environ.get('PROMETHEUS_MULTIPROC_DIR'))"
    return subprocess.check_output([sys.executable, "-c", show])


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    path = environ["PATH_INFO"]
    if path == "/order":
        ORDERS.labels("north").inc()
        HIDDEN.inc()
    answers = {"/all": lambda: generate_latest(REGISTRY), "/own": lambda: generate_latest(OWN)}
    answers |= {"/pushed": pushed, "/inherited": inherited}
    return [answers.get(path, lambda: b"ok")()]
"""


def value(text: str, name: str) -> float:
    """That of a series without labels, or of these labels."""
    found = re.findall(rf"(?m)^{re.escape(name)} (\S+)$", text)
    assert len(found) == 1, (name, text)
    return float(found[0])


def test_an_unchanged_app_is_exact_and_respects_registries(tmp_path: Path) -> None:
    """Preloaded: what the master counts is there once. Through a reload; children don't get hvd's folder."""
    with Guest(tmp_path, files={"shop.py": SHOP}, arguments=("--preload", "--threads", "2")) as guest:
        for _ in range(20):
            assert guest.get("/order").body == b"ok"
        both = guest.get("/all").body.decode(), guest.hvd_get("/metrics").body.decode()
        for text in both:
            assert value(text, 'orders_total{shop="north"}') == 20
            assert value(text, "loaded_total") == 1
            assert "hidden" not in text
        assert value(guest.get("/own").body.decode(), "hidden_total") == 20
        assert [value(guest.get("/pushed").body.decode(), "pushed_total") for _ in range(3)] == [1] * 3
        assert "pushed" not in guest.hvd_get("/metrics").body.decode()
        assert guest.get("/inherited").body == b"None\n"
        workers = guest.pids("worker")
        until(
            lambda: value(guest.hvd_get("/metrics").body.decode(), "level") == max(workers), "each tells its function's"
        )
        guest.reload()
        assert guest.get("/order").body == b"ok"
        until(lambda: value(guest.hvd_get("/metrics").body.decode(), 'orders_total{shop="north"}') == 21, "it goes on")
    assert guest.alarms == []


def test_files_stay_in_force_where_they_are_set_up(tmp_path: Path) -> None:
    """One warning says so; those who run hvd for the first time lose no figure."""
    folder = tmp_path / "files"
    folder.mkdir()
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with Run(tmp_path, files={"shop.py": SHOP}, environ=environ) as guest:
        guest.get("/order")
        assert list(folder.glob("*.db"))
        assert "orders" not in guest.hvd_get("/metrics").body.decode()
        assert guest.log.count("PROMETHEUS_MULTIPROC_DIR is set") == 1
