"""Events since the tick before, for clients that ask for details: new ones, and those with a higher number."""

from typing import TypedDict

from hvd.core.block import Block
from hvd.core.journal import events_of
from hvd.metrics.events import Event, read_events


class News(TypedDict):
    """The events of one tick, and the sequence of the newest event of all; 0 while there is none."""

    events: list[Event]
    newest_event: int


NO_NEWS = News(events=[], newest_event=0)


class EventWatch:
    """Looks at each tick. One thread uses it."""

    def __init__(self, block: Block) -> None:
        self._block, self._journal = block, events_of(block)
        self._checks = self._journal.checks()

    def tick(self) -> News:
        """What is new since the call before, or since this was made."""
        before, self._checks = self._checks, self._journal.checks()
        changed = {sequence for sequence, check in self._checks.items() if before.get(sequence) != check}
        events = read_events(self._block, min(changed) - 1) if changed else []
        return {
            "events": [event for event in events if event["sequence"] in changed],
            "newest_event": max(self._checks, default=0),
        }
