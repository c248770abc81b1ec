"""What a row's text says of a request in progress: hvd/instrument writes its method and its path there."""

from typing import TypedDict

from hvd.core.slots import Entry


class Request(TypedDict):
    """A request in progress, as snapshot and post-mortems have it; the path as far as the row keeps it, no query."""

    method: str
    path: str
    age_seconds: float


def request_of(entry: Entry) -> Request:
    """The request of which the entry tells."""
    method, _, path = entry.text.partition(" ")
    return {"method": method, "path": path, "age_seconds": round(entry.age, 3)}
