"""A worker that differs from the others."""

import random
import statistics

import pytest

from hvd.read.skew import Skew, WorkerFigures, find_skew, median

USUAL = WorkerFigures(100, 16, 600.0, 60.0, 1200, 0, 0, 1, 30.0, 100 * 2**20)


def workers(number: int, **odd: object) -> list[WorkerFigures]:
    """So many alike, and one that is not."""
    alike = [USUAL._replace(pid=101 + n, slot=17 + n) for n in range(number)]
    return [*alike, USUAL._replace(**odd)]  # type: ignore[arg-type]


def only(figures: list[WorkerFigures]) -> Skew:
    (skew,) = find_skew(figures)
    return skew


@pytest.mark.parametrize(
    ("odd", "what", "value", "others", "text"),
    [
        ({"server_errors": 600}, "server_error_rate", 0.5, 0.0, "50 % 5xx, the others 0 %"),
        ({"client_errors": 600}, "client_error_rate", 0.5, 0.0, "50 % 4xx, the others 0 %"),
        ({"in_flight": 8}, "in_flight", 8, 1, "8 requests in progress, the others 1"),
        ({"requests": 60}, "requests_per_second", 1, 20, "1.0 requests/s, the others 20.0 requests/s"),
        ({"requests": 6000}, "requests_per_second", 100, 20, "100 requests/s, the others 20.0 requests/s"),
        ({"cpu_percent": 99.0}, "cpu_percent", 99, 30, "99 % CPU, the others 30 %"),
        (
            {"memory_bytes": 900 * 2**20},
            "memory_bytes",
            900 * 2**20,
            100 * 2**20,
            "900 MB of memory, the others 100 MB",
        ),
    ],
)
def test_what_differs_is_told_with_the_median_of_the_others(
    odd: dict[str, object], what: str, value: float, others: float, text: str
) -> None:
    """And whose it is."""
    assert only(workers(3, **odd)) == {
        "pid": 100,
        "slot": 16,
        "what": what,
        "value": value,
        "others": others,
        "text": f"worker 100: {text}",
    }


def test_a_new_worker_and_an_old_one_differ_by_right() -> None:
    """As max_requests makes them: nothing in its caches, or all that it ever kept."""
    assert not find_skew(workers(3, age=12.0, seconds=12.0, requests=0, memory_bytes=20 * 2**20, cpu_percent=100.0))
    assert not find_skew(workers(3, age=6000.0, memory_bytes=900 * 2**20))
    assert not find_skew([])


def test_of_two_only_errors_tell_which_is_the_odd_one() -> None:
    """One with ten times the memory of the other may be either."""
    assert not find_skew(workers(1, memory_bytes=900 * 2**20, requests=60, cpu_percent=100.0))
    assert only(workers(1, server_errors=600))["pid"] == 100


@pytest.mark.parametrize(
    "odd",
    [
        {"server_errors": 4},
        {"client_errors": 4},
        {"requests": 401, "server_errors": 4},
        {"in_flight": 4},
        {"requests": 700},
        {"cpu_percent": None},
        {"cpu_percent": 50.0},
        {"memory_bytes": None},
        {"memory_bytes": 150 * 2**20},
    ],
)
def test_what_is_within_the_usual_is_no_skew(odd: dict[str, object]) -> None:
    """Or not known, or of too few requests."""
    assert not find_skew(workers(3, **odd))


def test_workers_that_share_the_load_by_chance_are_alike() -> None:
    """Sixteen of them, with errors and all, minute after minute."""
    order = random.Random(4)
    for _ in range(200):
        figures = []
        for number in range(16):
            requests = round(order.gauss(300, 40))
            errors = [sum(order.random() < 0.05 for _ in range(requests)) for _ in range(2)]
            cpu, memory = order.gauss(30, 4), round(order.gauss(100, 8) * 2**20)
            held = min(order.randint(0, 4), order.randint(0, 3))
            figures.append(WorkerFigures(number, number, 300, 60, requests, *errors, held, cpu, memory))
        assert not find_skew(figures)


@pytest.mark.parametrize("number", range(1, 9))
def test_the_median(number: int) -> None:
    """As the library has it."""
    values = [random.Random(number).randrange(10) for _ in range(number)]
    assert median(values) == statistics.median(values)
