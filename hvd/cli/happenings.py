"""A daemon's recent events, in words: since when it has its health, and the last death of a process. Pure.

Its events are those of /api/v1/events, None where it has no such path: an older daemon has only post-mortems.
"""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile

from hvd.cli.answers import Json, instant, mapping, objects
from hvd.texts import UNKNOWN, count, digits, figure, number, plain, short_duration


def health_since(raw: Json, events: Sequence[Json] | None, *, is_healthy: bool) -> str:
    """`since 10:42:11 UTC, 3m 2s ago`; "" where that is not known."""
    newest_first = list(reversed(events or ()))
    last_good = next((event for event in newest_first if event.get("kind") in ("alert_over", "start")), None)
    if is_healthy:
        return _since(last_good, raw) if last_good else ""
    later = takewhile(lambda event: event is not last_good, newest_first)
    alerts = [event for event in later if event.get("kind") == "alert"]
    return _since(alerts[-1], raw) if alerts else ""


def _since(event: Json, raw: Json) -> str:
    then, ago = _moment(event.get("time")), _ago(_moment(event.get("time")), raw)
    if then is None or not ago:
        return ""
    is_today = str(raw.get("timestamp")).startswith(f"{then:%Y-%m-%d}")
    return f"since {then:%H:%M:%S} UTC, {ago} ago" if is_today else f"since {then:%Y-%m-%d %H:%M:%S} UTC, {ago} ago"


def last_death(raw: Json, events: Sequence[Json] | None) -> str:
    """`3m 2s ago: worker 4711 was killed (SIGKILL); 2 unplanned ends since the start`."""
    deaths = [event for event in events or () if event.get("kind") == "death"]
    ends = mapping(raw.get("ends"))
    if deaths:
        ago = _ago(_moment(deaths[-1].get("until", deaths[-1].get("time"))), raw)  # of several alike the last one
        text = f"{ago} ago: {plain(deaths[-1].get('text'), 'ascii')}" if ago else plain(deaths[-1].get("text"), "ascii")
    else:
        is_none = events is not None or ends.get("unplanned") == 0
        text = _newest_post_mortem(raw) or ("none" if is_none else UNKNOWN)
    return "; ".join([text, *_numbers(ends)])


def _numbers(ends: Json) -> list[str]:
    unplanned, failed = number(ends.get("unplanned")), number(ends.get("failed_boots"))
    return [
        *([f"{count(unplanned)} unplanned since the start"] if unplanned else []),
        *([f"{count(failed)} failed to boot"] if failed else []),
    ]


def _newest_post_mortem(raw: Json) -> str:
    entry = next(iter(objects(raw.get("post_mortems"))), None)
    if entry is None:
        return ""
    ago = _ago(instant(entry.get("time")), raw)
    kind, cause = (plain(entry.get(name), "ascii", 60) for name in ("kind", "cause"))
    return f"{f'{ago} ago: ' if ago else ''}{kind} {figure(entry.get('pid'), digits)} ({cause})"


def _ago(then: datetime | None, raw: Json) -> str:
    """How long before the numbers that was, by the daemon's own clock; "" where that can't be told."""
    now = instant(raw.get("timestamp"))
    return "" if now is None or then is None else short_duration(max(0.0, (now - then).total_seconds()))


def _moment(seconds: object) -> datetime | None:
    """The time of an event, whose Unix time is in s."""
    known = number(seconds)
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return None if known is None else datetime.fromtimestamp(known, UTC)
    return None
