"""How much of the workers' threads requests have kept busy, from one reading to the next. Pure."""

from hvd.read.service import Service


class BusyTime:
    """Fed with one reading after the other. One thread uses it.

    Busy time is counted when a request ends, all of it at once. So the ages of those in progress are added, and what
    was added so the time before is taken off, unless its process was killed in it: then it never counts as a duration.
    """

    def __init__(self, service: Service, duration_ns: int) -> None:
        """`duration_ns` is the sum of the durations of all requests that have ended so far."""
        self._at_ns, self._duration_ns = service.at_ns, duration_ns
        self._open_ns = _open_ns(service)

    def ratio(self, service: Service, duration_ns: int) -> float:
        """The share since the last call, 0 to 1; 0.0 where there was no thread or no time."""
        span, open_ns = service.at_ns - self._at_ns, _open_ns(service)
        busy = duration_ns - self._duration_ns + sum(open_ns.values())
        busy -= sum(ns for tenure, ns in self._open_ns.items() if tenure in open_ns)
        self._at_ns, self._duration_ns, self._open_ns = service.at_ns, duration_ns, open_ns
        available = service.threads * span
        return round(min(1.0, max(0.0, busy / available)), 4) if available > 0 else 0.0


def _open_ns(service: Service) -> dict[tuple[int, int], int]:
    """The sum of the ages of what each worker has in progress."""
    return {
        (worker.slot, worker.taken_ns): sum(
            request.number * max(0, service.at_ns - request.begin_ns) for request in worker.requests
        )
        for worker in service.workers
    }
