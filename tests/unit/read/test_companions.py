"""What companions have published and how they are → what is observed, and what is wrong."""

import os
from dataclasses import replace

import pytest

from hvd.read.companions import LATE, CompanionStates, SilentMaster, merge_pages
from tests.unit.figures import STARTED, make_exporter, make_jobs, make_page, make_sample

PAGE = make_page()
WELL = CompanionStates(
    *(((STARTED, PAGE),), PAGE, make_jobs(), 0.1, 0.1),
    runs_jobs=True,
    uptime=60.0,
    jobs_have_begun=True,
    admin_server_age=0.1,
    admin_has_begun=True,
)
AGGREGATOR_AWAY = "aggregator away: process figures are old, /ws is not served"


def test_observations_of_two_aggregators_merge() -> None:
    """During an upgrade: the newest says what both see; each has clients and tasks of its own."""
    older = make_page(monotonic_ns=1, websocket_clients=30, tasks=2, cpu_usage=1.0)
    newer = make_page(monotonic_ns=2, websocket_clients=5, tasks=3, cpu_usage=2.0)
    for pages in ([older, newer], [newer, older]):
        merged = merge_pages(pages)
        assert merged is not None
        assert (merged["websocket_clients"], merged["tasks"], merged["cpu_usage"]) == (35, 5, 2.0)
    assert merge_pages([older]) == older
    assert merge_pages([]) is None
    assert CompanionStates().with_page(1, older).with_page(2, newer).observation() == merge_pages([older, newer])


def test_a_dead_aggregator_leaves_what_lives_without_it() -> None:
    """Its clients and tasks are gone with it, and so is a process that has ended since."""
    own = make_sample("worker", os.getpid())
    page = make_page(own, make_sample("worker", 2**22 + 1))
    observation = CompanionStates(last_page=page).observation()
    assert observation == {**page, "websocket_clients": 0, "tasks": 0, "processes": [own]}
    assert CompanionStates().observation() is None


@pytest.mark.parametrize(
    ("companions", "reasons"),
    [
        (WELL, []),
        (replace(WELL, runs_jobs=False, job_runner_age=None, jobs=None), []),
        (replace(WELL, aggregator_age=None), [AGGREGATOR_AWAY]),
        (replace(WELL, aggregator_age=LATE), [AGGREGATOR_AWAY]),
        (replace(WELL, aggregators=()), [AGGREGATOR_AWAY]),
        (replace(WELL, admin_server_age=None), ["admin server away: the log says why"]),
        (replace(WELL, admin_server_age=LATE), ["admin server away: the log says why"]),
        (replace(WELL, job_runner_age=LATE), ["job runner away: jobs wait"]),
        (replace(WELL, jobs=make_jobs(trouble="disk full")), ["disk full: jobs wait"]),
        (replace(WELL, removed="/x"), ["/x was removed: should hvd be killed, its totals are lost; restart it"]),
        (replace(WELL, missing=1), ["1 worker asked for can't be started: the log says why"]),
        (replace(WELL, missing=2), ["2 workers asked for can't be started: the log says why"]),
        (
            replace(WELL, silent_masters=(SilentMaster(7, None, True), SilentMaster(8, 6.7, False))),
            [
                "master (pid 7) is stopped: nothing that ends is replaced; kill -CONT 7",
                "master (pid 8) gives no sign of life for 7 s: nothing that ends is replaced; the log may say why",
            ],
        ),
        (
            replace(WELL, aggregator_age=None, missing=1, job_runner_age=None),
            [
                AGGREGATOR_AWAY,
                "1 worker asked for can't be started: the log says why",
                "job runner away: jobs wait",
            ],
        ),
    ],
)
def test_it_is_said_what_is_wrong(companions: CompanionStates, reasons: list[str]) -> None:
    """A line for each thing."""
    assert companions.troubles() == reasons
    assert replace(companions, aggregators=(), aggregator_age=None).with_page(1, PAGE).troubles() == [
        reason for reason in reasons if reason != AGGREGATOR_AWAY
    ], "an aggregator knows that it lives"


def test_companions_have_begun_once_each_has_published() -> None:
    """The job runner too, where kinds are declared."""
    assert not CompanionStates(jobs_have_begun=True, admin_has_begun=True).have_begun
    assert not CompanionStates(last_page=PAGE, admin_has_begun=True).have_begun
    assert not CompanionStates(last_page=PAGE, jobs_have_begun=True).have_begun
    assert CompanionStates(last_page=PAGE, jobs_have_begun=True, admin_has_begun=True).have_begun


def test_a_receiver_that_takes_no_metrics_is_a_trouble_once_it_lasts() -> None:
    """The exporter says when; and where it is away itself, nothing is sent. Without a receiver nothing is wrong."""
    trouble = "http://h:4318 does not take metrics: Connection refused"
    for page, age, found in (
        (make_exporter(), 0.1, []),
        (make_exporter(is_failing=True), 0.1, []),
        (make_exporter(is_failing=True, trouble=trouble), 0.1, [trouble]),
        (make_exporter(), LATE, ["exporter away: metrics are not sent; the log says why"]),
        (make_exporter(), None, ["exporter away: metrics are not sent; the log says why"]),
        (make_exporter(is_on=False), None, []),
        (None, None, []),
    ):
        assert replace(WELL, exporter=page, exporter_age=age).troubles() == found
