"""Shops measured with prometheus_client, and with the libraries on top of it, through all that happens to workers:
their metrics are what their buyers did, in their own /metrics and in hvd's; beside them, prometheus_client's files.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.guest import Guest, Run
from tests.support.server import upgradable
from tests.support.shops.buyers import Bought, Buyers, expected, some_order
from tests.support.shops.files_mode import Families, FilesMode, families_of
from tests.support.waiting import until

GTHREAD, GEVENT = ("-k", "gthread", "--threads", "4"), ("-k", "gevent")
ASGI, UVICORN = ("-k", "asgi"), ("-k", "uvicorn_worker.UvicornWorker")
RECYCLED = ("--max-requests", "100", "--max-requests-jitter", "40")
PRELOAD = ("--preload",)

Trouble = Callable[[Guest], None]


@dataclass(frozen=True)
class Case:
    """A shop, gunicorn's arguments, what happens to it, its paths of metrics, and the library's samples that are one
    for each order: their name, and a label's value.
    """

    shop: str
    arguments: tuple[str, ...]
    trouble: tuple[Trouble, ...]
    paths: tuple[str, ...] = ("/metrics",)
    counted: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    kind: type[Guest] = Guest


def killed(guest: Guest) -> None:
    """Three workers, one after the other, each with an order in progress, as it looks from here."""
    for _ in range(3):
        pid = until(lambda: busy_worker(guest), "a worker has an order", pause=0.001)
        os.kill(pid, signal.SIGKILL)
        until(lambda pid=pid: pid not in guest.pids("worker"), "its master has seen it")  # type: ignore[misc]
        until(lambda: len(guest.pids("worker")) >= 4, "it is replaced")


def busy_worker(guest: Guest) -> int:
    with guest.view() as view:
        return next((slot.slot.pid for slot in view.totals().slots if slot.busy), 0)


def reloaded(guest: Guest) -> None:
    guest.reload()


def upgraded(guest: Guest) -> None:
    """Afterwards another master serves."""
    guest.signal(signal.SIGUSR2)
    with guest.opened() as block:
        until(lambda: len(guest.pids("worker")) >= 8, "two masters serve", 30)
        guest.signal(signal.SIGTERM)
        assert guest.wait(60) == 0
        until(lambda: len(block.masters()) == 1, "the new one is alone", 30)


def recycled(guest: Guest) -> None:
    """Under gthread; other classes of workers say it otherwise."""
    old = set(guest.pids("worker"))
    until(lambda: len(old - set(guest.pids("worker"))) >= 2, "two have had their requests", 30)


ALL = killed, reloaded, recycled, upgraded
OF_FASTAPI = dict.fromkeys(("http_requests_total", "starlette_requests_total"), "/orders/{item}/{pieces}")
OF_FLASK = {"flask_http_request_total": "", "flask_http_request_duration_seconds_count": ""}
OF_DJANGO = {"django_http_requests_total_by_view_transport_method_total": "order"}
CASES = {
    "flask-gthread": Case("flask", GTHREAD, ALL, counted=OF_FLASK),
    "falcon-gevent-run": Case("falcon", GEVENT, ALL, ("/metrics", "/plain"), kind=Run),
    "falcon-hvds-instruments": Case("falcon", GTHREAD, (killed,), (), environ={"INSTRUMENTS": "hvd"}),
    "django-preloaded": Case("django", (*GTHREAD, *PRELOAD), (killed, upgraded), counted=OF_DJANGO),
    "fastapi-uvicorn-run": Case("fastapi", UVICORN, ALL, ("/metrics", "/starlette"), OF_FASTAPI, kind=Run),
    "fastapi-asgi": Case("fastapi", ASGI, ALL, ("/metrics", "/starlette"), OF_FASTAPI),
}

Found = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Found:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


def first_orders() -> list[tuple[str, int]]:
    chance = random.Random(7)
    return [some_order(chance) for _ in range(60)]


@pytest.mark.long(17)
@pytest.mark.timeout(300)  # each class of workers goes through all of it, 12 workers or more that load a framework
@pytest.mark.parametrize("name", CASES)
def test_metrics_are_what_buyers_did(tmp_path: Path, name: str) -> None:
    """The same as in files before anything happens; then right to the last answered order, whatever happens."""
    case = CASES[name]
    guest = guest_of(tmp_path, case)
    with guest:
        bought = Bought()
        for order in first_orders():
            bought.order(guest.address, order)
        assert not bought.unanswered
        guest.wait_idle()
        compare_with_files(tmp_path, case, guest)
        check(case, guest, bought)
        with Buyers(guest.address) as buyers:
            for trouble in case.trouble:
                trouble(guest)
        guest.wait_idle()
        bought.answered += buyers.bought.answered
        bought.unanswered += buyers.bought.unanswered
        check(case, guest, bought)
        check_exact_again(guest)
        if upgraded in case.trouble:
            guest.stop_successor()


def guest_of(folder: Path, case: Case) -> Guest:
    app, environ = f"tests.support.shops.{case.shop}_shop:app", dict(case.environ)
    recycling = RECYCLED if recycled in case.trouble else ()
    if case.kind is Run:
        return Run(folder, "-w", "4", "--", *case.arguments, *recycling, app=app, files={}, environ=environ)
    arguments = (*case.arguments, *recycling)
    return upgradable(Guest(folder, app=app, files={}, workers=4, arguments=arguments, environ=environ))


def compare_with_files(folder: Path, case: Case, guest: Guest) -> None:
    """Help, type and series are the same to the byte, and the values that don't depend on times."""
    families = families_of(guest.hvd_get("/metrics").body.decode())
    shown = {name: family for name, family in families.items() if not name.startswith("hvd_")}
    with FilesMode(folder, f"tests.support.shops.{case.shop}_shop", *case.arguments) as rival:
        for order in first_orders():
            Bought().order(rival.address, order)
        with suppress(AssertionError):  # some is counted after the answer
            until(lambda: not differences(families_of(rival.read()), shown), "they are the same", 3)
        assert differences(families_of(rival.read()), shown) == {}
        theirs = families_of(rival.get("/metrics"))
    for path in case.paths:
        assert differences(theirs, families_of(guest.get(path).body.decode())) == {}, path


def differences(theirs: Families, ours: Families) -> dict[str, object]:
    return {
        name: (theirs.get(name), ours.get(name))
        for name in theirs.keys() | ours.keys()
        if theirs.get(name) != ours.get(name)
    }


def check_exact_again(guest: Guest) -> None:
    """As long as no order is left without an answer, what grows does so by just what was ordered."""
    before, more = guest.metrics(), Bought()
    for order in first_orders():
        more.order(guest.address, order)
    guest.wait_idle()
    after = guest.metrics()
    extremes = {key for key in after if key[0] in ("shop_largest_order", "shop_smallest_order")}
    grown = {key: value - before.get(key, 0) for key, value in after.items() if key not in extremes}
    wrong = {key: grown.get(key, 0) for key, value in expected(more.answered).items() if grown.get(key) != value}
    assert wrong.keys() <= extremes
    assert not more.unanswered


def check(case: Case, guest: Guest, bought: Bought) -> None:
    """Wherever the metrics are shown: what was bought, and whose workers live."""
    until(lambda: set(guest.pids("worker")) <= serving(guest.metrics()), "all workers have the app")
    answers = [guest.get(path) for path in case.paths] + [guest.hvd_get("/metrics")]
    for samples in (samples_of(answer.body.decode()) for answer in answers):
        assert bought.wrong(samples) == {}
        assert samples["shop_orders_in_progress", frozenset()] == 0
        assert set(guest.pids("worker")) <= serving(samples) <= {*guest.pids("worker"), *guest.pids("master")}
        for name, label in case.counted.items():
            counted = sum(
                value
                for (each, labels), value in samples.items()
                if each == name and (not label or label in dict(labels).values())
            )
            assert bought.answered.total() <= counted <= bought.answered.total() + bought.unanswered.total(), name


def serving(samples: Found) -> set[int]:
    """Of whose processes the gauge is that each sets when it has the app."""
    return {int(dict(labels)["pid"]) for (name, labels) in samples if name == "shop_worker_serves"}


EDITED = """\
from prometheus_client import Counter, generate_latest
TAKEN = Counter("shop_taken", "Orders taken.")
MORE = Counter("shop_{more}", "Of this version.")

def app(environ, start_response):
    text = generate_latest() if environ["PATH_INFO"] == "/metrics" else b"{more}"
    if text == b"{more}":
        TAKEN.inc()
        MORE.inc(2)
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text]
"""


def test_an_app_that_is_edited_goes_on_counting(tmp_path: Path) -> None:
    """While gunicorn's reloader watches: the default registry of the new worker has what the ones before counted."""
    shop, answers = tmp_path / "shop.py", Counter[str]()
    options = ("-w", "1", "--", "--reload", "--reload-engine", "poll")
    with Run(tmp_path, *options, files={"shop.py": EDITED.format(more="first")}) as run:

        def is_edited(version: str) -> bool:
            shop.write_text(EDITED.format(more=version))  # again: gunicorn misses what changes before its first look
            try:
                answer = run.get("/").body.decode()
            except OSError:
                answer = "none"
            answers[answer] += 1
            return answer == version

        for version in "second", "third":
            until(lambda version=version: is_edited(version), "the edited app answers", 30, pause=0.3)  # type: ignore[misc]
        for text, versions in (run.get("/metrics"), ["third"]), (run.hvd_get("/metrics"), ["first", "second", "third"]):
            samples = samples_of(text.body.decode())
            assert answers.total() - answers["none"] <= samples["shop_taken_total", frozenset()] <= answers.total()
            for version in versions:
                assert 0 <= samples[f"shop_{version}_total", frozenset()] - 2 * answers[version] <= 2 * answers["none"]
    assert "Traceback" not in run.log


def test_where_a_folder_is_set_the_files_stay_in_force(tmp_path: Path) -> None:
    """One line of the log says so; the app's own /metrics has what it had without hvd."""
    files, bought = tmp_path / "files", Bought()
    files.mkdir()
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(files)}
    guest = Guest(tmp_path, app="tests.support.shops.falcon_shop:app", files={}, arguments=GTHREAD, environ=environ)
    with guest:
        for order in first_orders():
            bought.order(guest.address, order)
        assert bought.wrong(samples_of(guest.get("/metrics").body.decode())) == {}
        assert "shop_orders" not in guest.hvd_get("/metrics").body.decode()
    (line,) = guest.alarms
    assert "PROMETHEUS_MULTIPROC_DIR" in line
