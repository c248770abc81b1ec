"""Events of the daemon: starts, reloads, upgrades, unplanned deaths, alerts. They are in the block, so that they
outlive the process that saw them. Also how many processes ended, and how.
"""

import contextlib
import json
import time
from bisect import bisect_right
from collections import deque
from itertools import accumulate
from typing import Any, Literal, NotRequired, TypedDict, cast

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.journal import Journal, Record, events_of
from hvd.errors import BlockLocked

HOUR = 3600.0  # s
LOCK_WAIT = 0.05  # s; after that the writer goes on without the event

EventKind = Literal["start", "stop", "reload", "upgrade", "version", "death", "boot_failed", "alert", "alert_over"]
EndedHow = Literal["planned", "unplanned", "failed_boots"]


class Event(TypedDict):
    """One event: when (Unix time in s), of which kind, and a sentence for people. Other fields depend on the
    kind: `process` is a kind of process, `cause` how it ended, `memory_bytes` what it used when it was last sampled,
    `peak_bytes` the most that it ever used, `aborted` how many requests it had in progress, `number` how many times it
    happened until `until` (Unix time in s); `version` is hvd's, `before` the one before that; `state` is a word of
    /health, `reasons` are its, `seconds` how long that lasted.

    An event may be written anew under its sequence, as with a higher `number`.
    """

    sequence: int
    time: float
    kind: EventKind
    text: str
    process: NotRequired[str]
    pid: NotRequired[int]
    cause: NotRequired[str]
    memory_bytes: NotRequired[int | None]
    peak_bytes: NotRequired[int | None]
    aborted: NotRequired[int]
    number: NotRequired[int]
    until: NotRequired[float]
    version: NotRequired[str]
    before: NotRequired[str | None]
    state: NotRequired[str]
    reasons: NotRequired[list[str]]
    seconds: NotRequired[float]


class Ends(TypedDict):
    """How many processes have ended since the daemon started: as planned, otherwise, and before they could serve."""

    planned: int
    unplanned: int
    failed_boots: int


def write_event(block: Block, kind: EventKind, text: str, **more: Any) -> bool:
    """Append an event, of now unless `more` has another time. Of what is too long for a record, the longest field
    is left out, or cut if it is the text. -> False where the block is locked for longer than LOCK_WAIT: then there is
    none.
    """
    data = _record(events_of(block), {"time": round(time.time(), 3), "kind": kind, "text": text, **more})
    with contextlib.suppress(BlockLocked), block.locked(LOCK_WAIT):
        events_of(block).append(data)
        return True
    return False


def write_again(block: Block, event: Event, text: str, **more: Any) -> bool:
    """Write an event that was read before anew: it has happened once more, now. Nothing is written where the ring has
    dropped it. -> False where that can't be done now.
    """
    journal, sequence, number = events_of(block), event["sequence"], event.get("number", 1) + 1
    fields = {name: value for name, value in event.items() if name != "sequence"}
    data = _record(journal, {**fields, "text": text, "until": round(time.time(), 3), **more, "number": number})
    with contextlib.suppress(BlockLocked), block.locked(LOCK_WAIT):
        if sequence in journal.checks():
            journal.write(sequence, data)
        return True
    return False


def last_like(block: Block, alone: int, kind: EventKind, **same: object) -> Event | None:
    """The event to be written anew for one more of this kind that agrees in these fields; None for the first `alone` of
    an hour, which get an event each. So a loop, of crashes or of starts, pushes nothing out of the ring.
    """
    since = time.time() - HOUR
    like = [
        event
        for event in read_events(block)
        if event["kind"] == kind and {**event, **same} == event and event.get("until", event["time"]) > since
    ]
    return like[-1] if len(like) >= alone else None


class EventWriter:
    """Writes events in their order; what can't be written now waits for the next `flush`. One thread uses it."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._waiting: deque[tuple[EventKind, str, dict[str, Any]]] = deque(maxlen=layout.EVENTS)

    def write(self, kind: EventKind, text: str, **more: Any) -> None:
        """An event of now, unless `more` has another time."""
        self._waiting.append((kind, text, {"time": round(time.time(), 3), **more}))
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as that can be done now."""
        while self._waiting:
            kind, text, more = self._waiting[0]
            if not write_event(self._block, kind, text, **more):
                return
            self._waiting.popleft()


def _record(journal: Journal, event: dict[str, Any]) -> bytes:
    while len(data := _json(event)) > journal.room:
        longest = max(
            (name for name in event if name not in ("time", "kind")), key=lambda name: len(_json(event[name]))
        )
        size = min(journal.room // 4, len(_json(event[longest])) // 2)
        event[longest] = _cut(event["text"], size) if longest == "text" else None
    return data


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _cut(text: str, size: int) -> str:
    """The beginning of a text that takes so many bytes: in JSON a character may take six, or twelve."""
    sizes = accumulate(len(_json(character)) - 2 for character in text[:size])
    return text[: bisect_right(list(sizes), size)]


def read_events(block: Block, after: int = 0) -> list[Event]:
    """The events of later sequences, the oldest first."""
    events = (_event(record) for record in events_of(block).read(after))
    return [event for event in events if event]


def _event(record: Record) -> Event | None:
    """Whether a record has an event's fields: another version of hvd may have written it."""
    with contextlib.suppress(ValueError):
        event = json.loads(record.data)
        if _is_event(event):
            return cast(Event, {**event, "sequence": record.sequence})
    return None


_NUMBERS = "time", "until", "number", "aborted", "seconds"


def _is_event(event: object) -> bool:
    return (
        isinstance(event, dict)
        and {type(event.get("kind")), type(event.get("text"))} == {str}
        and "time" in event
        and all(type(event.get(name, 0)) in (int, float) for name in _NUMBERS)
        and all(abs(event.get(name, 0)) < 2**53 for name in _NUMBERS)  # which no NaN is
    )


def check_events(events: list[Event]) -> list[Event]:
    """Those of a daemon before this one, the newest that have room. Raises ValueError where one is none."""
    for event in events:
        if not (_is_event(event) and type(event.get("sequence")) is int and 0 < event["sequence"] < 2**53):
            raise ValueError("an event")
    return sorted(events, key=lambda event: event["sequence"])[-layout.EVENTS :]


def fill_events(block: Block, events: list[Event]) -> None:
    """Give a new block, which nobody else has, these events, under the sequences that they have."""
    journal = events_of(block)
    for event in events:
        journal.write(event["sequence"], _record(journal, {**event}))


def open_alerts(block: Block) -> list[Event]:
    """Those since one was over last, the oldest first."""
    alerts = [event for event in read_events(block) if event["kind"] in ("alert", "alert_over")]
    over = max((index for index, event in enumerate(alerts) if event["kind"] == "alert_over"), default=-1)
    return alerts[over + 1 :]


def count_end(block: Block, which: EndedHow) -> None:
    """Count that a process has ended, under the mutation lock, which the caller holds."""
    block.cells[layout.H_ENDS + [*Ends.__annotations__].index(which)] += 1


def clear_ends(block: Block) -> None:
    """Begin at 0, as the daemon starts."""
    for cell in range(layout.H_ENDS, layout.H_ENDS + layout.ENDS):
        block.cells[cell] = 0


def read_ends(block: Block) -> Ends:
    """The counts of now."""
    planned, unplanned, failed_boots = block.cells[layout.H_ENDS : layout.H_ENDS + layout.ENDS].tolist()
    return {"planned": planned, "unplanned": unplanned, "failed_boots": failed_boots}
