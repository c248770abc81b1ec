"""`/api/v1/events`: the daemon's events, and how many of its processes ended."""

from typing import TypedDict

import falcon

from hvd.core.journal import events_of
from hvd.metrics.events import Ends, Event, read_ends, read_events
from hvd.web.resources import JsonResource

LAST = 2**53  # a sequence up to which a client's numbers are exact


class EventsAnswer(TypedDict):
    """Events, the oldest first; `newest` is the sequence of the newest one of all, 0 while there is none."""

    events: list[Event]
    newest: int
    ends: Ends


class Events(JsonResource):
    """Those after the sequence `after`, or all that are kept: some 250."""

    def answer_to(self, req: falcon.Request) -> EventsAnswer:
        block = self._here.parts.block
        after = req.get_param_as_int("after", min_value=0, max_value=LAST, default=0)
        newest = events_of(block).newest  # first: a client that asks for what comes after it misses nothing
        return {"events": read_events(block, after), "newest": newest, "ends": read_ends(block)}
