"""How busy a daemon's workers are, and with what, in words: for `hvd status` and `hvd top`. Pure.

What an older daemon doesn't send is UNKNOWN.
"""

from hvd.cli.answers import Json, mapping, objects, texts
from hvd.cli.frames import age_text, request_name, short_place
from hvd.texts import UNKNOWN, count, digits, figure, milliseconds, number, whole_percent

LONG = 1.0  # s that a request has to be in progress to be worth a line: the one that asks is in progress too
WAITING = {
    "silent": "silent",
    "half_head": "with half a head",
    "half_body": "with half a body",
    "unread": "not reading",
    "idle": "kept alive",
}
"""What the connections are that a server waits for, by the daemon's names."""


def health_of(raw: Json) -> str:
    """The health that the daemon tells, by its older name where it has no newer one; "" where it tells none."""
    health = raw.get("health", raw.get("system_health"))
    return health if isinstance(health, str) else ""


def reasons_of(raw: Json) -> tuple[str, ...]:
    """What is wrong, as the daemon says."""
    return texts(raw.get("reasons"))


def capacity_text(raw: Json) -> str:
    """`8 of 8 busy for 18.2s, 98% of the time`."""
    busy, threads = (figure(raw.get(name), count) for name in ("worker_threads_busy", "worker_threads"))
    if threads == UNKNOWN:
        return UNKNOWN
    seconds = number(raw.get("saturated_seconds"))
    since = f" for {age_text(seconds)}" if seconds and busy == threads else ""
    return f"{busy} of {threads} busy{since}{_share(raw)}"


def _share(raw: Json) -> str:
    ratio = number(raw.get("busy_ratio"))
    return "" if ratio is None else f", {whole_percent(100 * ratio)} of the time"


def backlog_text(raw: Json) -> str:
    """Connections that wait to be accepted, and requests that were, and wait for a thread, where there are any:
    `0 of 2,048; 3 for a thread`.
    """
    waiting, limit = (figure(raw.get(name), count) for name in ("accept_backlog", "accept_backlog_limit"))
    queued = number(raw.get("queued_requests"))
    beside = f"; {count(queued)} for a thread" if queued else ""
    return f"{waiting if waiting == UNKNOWN else f'{waiting} of {limit}'}{beside}"


def beside_texts(raw: Json) -> list[tuple[str, str]]:
    """What only some services have, label and value: time in queues, lag of an event loop, connections of the app."""
    p50, p99 = number(raw.get("queue_time_p50")), number(raw.get("queue_time_p99"))
    lag, connections = number(raw.get("event_loop_lag_seconds")), number(raw.get("app_connections"))
    texts = [
        ("Queue time", f"p50 {figure(p50, milliseconds)}, p99 {milliseconds(p99)}" if p99 else ""),
        ("Loop lag", "" if lag is None else milliseconds(1000 * lag)),
        ("Connections", f"{count(connections)} of the app" if connections else ""),
        ("Joined", figure(raw.get("joined_processes"), count) if number(raw.get("joined_processes")) else ""),
    ]
    return [(label, value) for label, value in texts if value]


def waiting_text(raw: Json) -> str:
    """Connections for which the workers wait: `3 silent, 2 with half a head`; "" where there are none."""
    clients = mapping(raw.get("waiting_clients"))
    known = ((words, number(clients.get(name))) for name, words in WAITING.items())
    return ", ".join(f"{count(value)} {words}" for words, value in known if value)


def p99_text(raw: Json) -> str:
    """`9.5ms`, and what it is with the requests in progress where that is more. Of an interval in which no request
    ended it is UNKNOWN, not the 0 that the daemon sends: that would look best while all are stuck.
    """
    finished, with_open = number(raw.get("p99")), number(raw.get("p99_with_open"))
    text = milliseconds(finished) if finished else UNKNOWN
    if with_open is None or with_open <= (finished or 0.0):
        return text
    return f"{text}, {milliseconds(with_open)} with those in progress"


def long_requests(raw: Json, least: float = LONG) -> list[Json]:
    """The requests in progress for that many s or more, the oldest first."""
    requests = objects(raw.get("longest_requests"))
    return [request for request in requests if (number(request.get("age_seconds")) or 0.0) >= least]


def request_lines(raw: Json, encoding: str) -> list[str]:
    """`18.2s GET /slow, worker 4711, at report.py:41 build`, a line each."""
    lines = []
    for request in long_requests(raw):
        pid = figure(request.get("pid"), digits)
        place = short_place(request.get("stack"), encoding)
        at = f", at {place}" if place else ""
        lines.append(f"{age_text(request.get('age_seconds'))} {request_name(request, encoding)}, worker {pid}{at}")
    return lines
