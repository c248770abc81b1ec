"""How much of the workers' threads requests have kept busy, from one reading to the next. Pure."""

from hvd.read.service import OpenRequest, Service


class BusyTime:
    """Fed with one reading after the other. One thread uses it.

    Busy time is counted when a request ends, all of it at once. So of those that have ended the time before the span is
    taken off, and of those in progress the time within the span is added.
    """

    def __init__(self, service: Service, duration_ns: int) -> None:
        """`duration_ns` is the sum of the durations of all requests that have ended so far."""
        self._at_ns, self._duration_ns = service.at_ns, duration_ns
        self._open = _by_identity(service)

    def ratio(self, service: Service, duration_ns: int) -> float:
        """The share since the last call, 0 to 1; 0.0 where there was no thread or no time."""
        span, is_open = service.at_ns - self._at_ns, _by_identity(service)
        busy = duration_ns - self._duration_ns
        busy += sum(request.number * min(service.at_ns - request.begin_ns, span) for request in is_open.values())
        tenures = {(worker.slot, worker.taken_ns) for worker in service.workers}
        for identity, request in self._open.items():
            has_ended = identity not in is_open
            if has_ended and (request.slot, request.taken_ns) in tenures:  # else its process was killed in it
                busy -= request.number * max(0, self._at_ns - request.begin_ns)
        self._at_ns, self._duration_ns, self._open = service.at_ns, duration_ns, is_open
        available = service.threads * span
        return round(min(1.0, max(0.0, busy / available)), 4) if available > 0 else 0.0


def _by_identity(service: Service) -> dict[tuple[int, int, int], OpenRequest]:
    return {(request.slot, request.taken_ns, request.begin_ns): request for request in service.requests}
