"""Skew: a worker that differs from the others, in what it answers, fails, holds or uses. Pure.

Only workers that have lived for a while are compared: a new one has empty caches and little memory, and an old one may
have more of both. Two workers can't say which of them is the odd one; of errors they can.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple, TypedDict

from hvd.read.changes import ERRORS, REQUESTS, proportions_z, rate_text, share_text
from hvd.texts import size

Z = 4.5  # standard deviations of errors: sixteen workers are compared every two seconds
SETTLED = 30.0  # s of age from which on a worker is compared
EXPECTED = 50  # requests that the others have, for a rate to be compared
FACTOR = 3.0  # of a rate
CPU_POINTS, CPU_FACTOR = 25.0, 2.0
MEMORY_BYTES, MEMORY_FACTOR = 64 * 2**20, 1.5
AGE_FACTOR = 3.0  # a worker that is older than the others by that has more memory by right
HELD = 4.0  # standard deviations of what is in flight by chance

What = Literal[
    "server_error_rate", "client_error_rate", "in_flight", "requests_per_second", "cpu_percent", "memory_bytes"
]


class Skew(TypedDict):
    """A worker, what differs, its value, the median of the others, and all that in a sentence."""

    pid: int
    slot: int
    what: What
    value: float
    others: float
    text: str


class WorkerFigures(NamedTuple):
    """A worker in a span of `seconds` of its life; `in_flight` is what it had in progress all the time, at least."""

    pid: int
    slot: int
    age: float
    seconds: float
    requests: int
    client_errors: int
    server_errors: int
    in_flight: int
    cpu_percent: float | None
    memory_bytes: int | None

    @property
    def rate(self) -> float:
        return self.requests / self.seconds if self.seconds > 0 else 0.0


Compare = Callable[[WorkerFigures, Sequence[WorkerFigures]], tuple[float, float, str] | None]
"""A worker and the others → its value, their median, and what the sentence says of both; None where all is well."""


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the two in the middle; the library's costs each aggregator a megabyte."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def find_skew(workers: Sequence[WorkerFigures]) -> list[Skew]:
    """What differs, by kind, in the order of _COMPARED."""
    settled = [worker for worker in workers if worker.age >= SETTLED]
    return list(_skews(settled))


def _skews(workers: Sequence[WorkerFigures]) -> Iterator[Skew]:
    for what, least, compare in _COMPARED:
        for worker in workers if len(workers) >= least else ():
            others = [other for other in workers if other is not worker]
            if result := compare(worker, others):
                value, of_others, text = result
                yield {
                    "pid": worker.pid,
                    "slot": worker.slot,
                    "what": what,
                    "value": round(value, 6),
                    "others": round(of_others, 6),
                    "text": f"worker {worker.pid}: {text}",
                }


def _server_errors(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    return _errors(worker, others, "5xx", attrgetter("server_errors"))


def _client_errors(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    return _errors(worker, others, "4xx", attrgetter("client_errors"))


def _errors(
    worker: WorkerFigures, others: Sequence[WorkerFigures], word: str, errors: Callable[[WorkerFigures], int]
) -> tuple[float, float, str] | None:
    answering = [other for other in others if other.requests]
    counts = sum(other.requests for other in answering), worker.requests
    if min(counts) < REQUESTS:
        return None
    failed = sum(map(errors, answering)), errors(worker)
    value, usual = errors(worker) / worker.requests, median(errors(other) / other.requests for other in answering)
    if errors(worker) - usual * worker.requests < ERRORS or value < 2 * usual or proportions_z(failed, counts) < Z:
        return None
    return value, usual, f"{share_text(value)} {word}, the others {share_text(usual)}"


def _in_flight(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    usual = median(other.in_flight for other in others)
    if worker.in_flight - usual < HELD * math.sqrt(max(1.0, sum(other.in_flight for other in others) / len(others))):
        return None
    return worker.in_flight, usual, f"{worker.in_flight} requests in progress, the others {usual:g}"


def _rate(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    usual = median(other.rate for other in others)
    expected = usual * worker.seconds
    is_far = worker.rate * FACTOR < usual or worker.rate > FACTOR * usual
    if expected < EXPECTED or not is_far:
        return None
    return worker.rate, usual, f"{rate_text(worker.rate)}, the others {rate_text(usual)}"


def _cpu(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    known = [other.cpu_percent for other in others if other.cpu_percent is not None]
    value = worker.cpu_percent
    if value is None or not known:
        return None
    usual = median(known)
    if value - usual < CPU_POINTS or value < CPU_FACTOR * usual:
        return None
    return value, usual, f"{value:.0f} % CPU, the others {usual:.0f} %"


def _memory(worker: WorkerFigures, others: Sequence[WorkerFigures]) -> tuple[float, float, str] | None:
    known = [other.memory_bytes for other in others if other.memory_bytes is not None]
    value = worker.memory_bytes
    if value is None or not known or worker.age > AGE_FACTOR * median(other.age for other in others):
        return None
    usual = median(known)
    if value - usual < MEMORY_BYTES or value < MEMORY_FACTOR * usual:
        return None
    return value, usual, f"{size(value)} of memory, the others {size(usual)}"


_COMPARED: tuple[tuple[What, int, Compare], ...] = (
    ("server_error_rate", 2, _server_errors),
    ("client_error_rate", 2, _client_errors),
    ("in_flight", 3, _in_flight),
    ("requests_per_second", 3, _rate),
    ("cpu_percent", 3, _cpu),
    ("memory_bytes", 3, _memory),
)
"""What is compared, how many workers that needs, and how."""
