"""Services of each framework under each class of worker that fits it: each request counts under its route's template,
with the status that its client saw.
"""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.support.apps.asked import STATUSES, Clients
from tests.support.guest import HELLO, Guest
from tests.support.proof import proving
from tests.support.server import upgradable
from tests.support.waiting import until

WSGI, ASGI = ("gthread", "sync", "gevent"), ("uvicorn_worker.UvicornWorker", "asgi")
FRAMEWORKS = {
    "flask": ("<n>", WSGI),
    "django": ("<n>", WSGI),
    "falcon": ("{n}", WSGI),
    "bottle": ("<n>", WSGI),
    "pyramid": ("{n}", WSGI),
    "fastapi": ("{n}", ASGI),
    "starlette": ("{n}", ASGI),
    "django_asgi": ("<n>", ASGI),
    "falcon_asgi": ("{n}", ASGI),
}
"""Module of its app, form of a parameter, classes of worker."""
PAIRS = [(name, kind) for name, (_, kinds) in FRAMEWORKS.items() for kind in kinds]
MANY = {(name, kind) for name, kind in PAIRS if name in ("flask", "fastapi")}
MOST = {("flask", "gthread"), ("fastapi", "uvicorn_worker.UvicornWorker")}
"""One framework of each interface, and of its classes of worker one, stand for all where many requests are needed."""


PLAIN = HELLO.replace(
    "    start",
    """\
    if environ["PATH_INFO"].startswith("/own/"):
        environ["hvd.route"] = "/own/{n}"
    start""",
)


def guest_of(folder: Path, name: str, kind: str, *arguments: str) -> Guest:
    app = f"tests.support.apps.{name}_app:app"
    return Guest(folder, app=app, files={}, workers=4, arguments=("-k", kind, "--threads", "4", *arguments))


@pytest.mark.timeout(600)  # 20,000 requests, and each is logged where it fails
@pytest.mark.parametrize(
    ("name", "kind"), [pytest.param(*pair, marks=[pytest.mark.long(35)] if pair in MOST else []) for pair in PAIRS]
)
def test_every_request_counts_under_its_template_as_its_client_saw_it(tmp_path: Path, name: str, kind: str) -> None:
    """Parameters, statuses, streams, files, HEAD, what fails, what is mounted, clients that leave; to the last one."""
    with guest_of(tmp_path, name, kind) as guest:
        requests = 20_000 if (name, kind) in MOST else 4000 if (name, kind) in MANY else 400
        with proving(guest):
            clients = Clients(guest.address, FRAMEWORKS[name][0], requests=requests).start().join()
        guest.wait_idle()
        assert clients.failed == 0
        assert Counter(guest.counted()) == clients.answers
        assert {status for _, status in clients.answers} == STATUSES - ({405} if name == "pyramid" else set())
        done = clients.answers.total()
        assert guest.snapshot()["requests"] == {"started": done, "finished": done, "in_flight": 0, "aborted": 0}


def test_counts_stay_right_through_all_that_happens_to_workers(tmp_path: Path) -> None:
    """Killed, reloaded, more of them, recycled, an upgrade: a client counts none that hvd didn't, nor the other way
    round but for requests whose answer it did not get.
    """
    guest = upgradable(guest_of(tmp_path, "flask", "gthread", "--max-requests", "300", "--max-requests-jitter", "100"))
    over: list[bool] = []
    with guest:
        with proving(guest):
            clients = Clients(guest.address, "<n>", stop=lambda: bool(over)).start()
            try:
                trouble(guest)
            finally:
                over.append(True)
                clients.join()
        guest.wait_idle()
        counted = Counter(guest.counted())
        assert not clients.answers - counted
        assert (counted - clients.answers).total() <= clients.failed
        assert set(counted) == set(clients.answers)
        with guest.view() as view:
            heads = view.totals().heads
        assert heads.started == heads.finished + heads.aborted <= clients.sent.total()
        guest.stop_successor()


def trouble(guest: Guest) -> None:
    """All that may happen to workers, one after the other; in the end another master serves."""
    for _ in range(3):
        pid = guest.pids("worker")[0]
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pid not in guest.pids("worker"), "its master has seen it")  # type: ignore[misc]
        until(lambda: len(guest.pids("worker")) >= 4, "it is replaced")
    guest.reload()
    guest.signal(signal.SIGTTIN)
    until(lambda: len(guest.pids("worker")) >= 5, "there is one more")
    until(lambda: guest.log.count("Autorestarting") >= 2, "two have had their requests", 30)
    guest.signal(signal.SIGUSR2)
    with guest.opened() as block:
        until(lambda: len(block.masters()) == 2, "there are two masters", 30)
        until(lambda: len(guest.pids("worker")) >= 9, "both serve", 30)
        guest.signal(signal.SIGTERM)
        assert guest.wait(60) == 0
        until(lambda: len(block.masters()) == 1, "the new one is alone", 30)


def test_an_app_of_no_framework_has_the_routes_of_the_settings(tmp_path: Path) -> None:
    """By patterns, or as it says itself; a reload changes them."""
    settings = tmp_path / "hvd.toml"
    settings.write_text("[routes]\n'/items/{id}' = '/items/[0-9]+'\n")
    with Guest(tmp_path, files={"shop.py": PLAIN}, environ={"HVD_CONFIG": str(settings)}) as guest:
        for path in "/items/1", "/items/2", "/items/x", "/own/7", "/":
            guest.get(path)
        settings.write_text("[routes]\n'/all' = '.*'\n[http]\nexclude = ['/items/2']\n")
        guest.reload()
        for path in "/items/1", "/items/2", "/own/7":
            guest.get(path)
        guest.wait_idle()
        expected = {("/items/{id}", 200): 2, ("/all", 200): 1, ("/own/{n}", 200): 2, ("(other)", 200): 2}
        assert Counter(guest.counted()) == expected
