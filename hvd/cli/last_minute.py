"""The last minute of a service beside the minute before it, in words: for `hvd status`. Pure.

What an older daemon doesn't send, and what nothing was measured of, is UNKNOWN.
"""

from hvd.cli.answers import Json, mapping
from hvd.cli.saturation import p99_text
from hvd.texts import UNKNOWN, count, figure, milliseconds, number, percent, rate

_ERRORS = (("5xx", "server"), ("4xx", "client"))


def minute_rows(raw: Json) -> list[tuple[str, str]]:
    """Label and value: requests a second, shares of errors of the server's and of clients', p99."""
    now, before = mapping(raw.get("last_minute")), mapping(raw.get("minute_before"))
    return [
        ("Rate", _beside(_rate(now, raw), _rate(before, {}))),
        *((label, _beside(_share(now, whose, exact=True), _share(before, whose))) for label, whose in _ERRORS),
        ("p99", _p99(now, before, raw)),
    ]


def _rate(span: Json, raw: Json) -> str:
    """That of the last interval where there is no minute yet, or the daemon is an older one."""
    text = figure(span.get("requests_per_second", raw.get("requests_per_second")), rate)
    return text if text == UNKNOWN else f"{text}/s"


def _share(span: Json, whose: str, *, exact: bool = False) -> str:
    """`12.0%`, or with the numbers behind it `12.0% (240 of 2,000)`; UNKNOWN where there was no request."""
    requests, ratio = number(span.get("requests")), number(span.get(f"{whose}_error_rate"))
    if not requests or ratio is None:
        return UNKNOWN
    share = percent(100 * ratio)
    return f"{share} ({figure(span.get(f'{whose}_errors'), count)} of {count(requests)})" if exact else share


def _p99(now: Json, before: Json, raw: Json) -> str:
    """With that of the requests in progress, where it is more."""
    if "p99_ms" not in now:
        return p99_text(raw)
    text = _beside(figure(now["p99_ms"], milliseconds), figure(before.get("p99_ms"), milliseconds))
    with_open = number(raw.get("p99_with_open"))
    if with_open is None or with_open <= max(number(now["p99_ms"]) or 0.0, number(raw.get("p99")) or 0.0):
        return text
    return f"{text}; {milliseconds(with_open)} with those in progress"


def _beside(now: str, before: str) -> str:
    return now if before == UNKNOWN else f"{now}, {before} the minute before"
