"""One look at a daemon: its answers over HTTP, and the first messages of its WebSocket."""

import json
from typing import NamedTuple
from urllib.parse import urlencode

from hvd.cli.answers import Json, objects
from hvd.cli.client import Address, exchange, get_object
from hvd.cli.jobs.remote import Remote
from hvd.cli.stacks import fetch, process_lines
from hvd.cli.top.model import Model
from hvd.cli.websocket import messages
from hvd.errors import DaemonRefused, DaemonUnreachable
from hvd.jobs.listing import OPEN_FIRST, TEXT_MAX
from hvd.jobs.states import STATUSES
from hvd.jobs.submission import LIST_MAX

PATH = "/ws?detail=1"
PINS = "/api/v1/pins"
EVENTS = "/api/v1/events"
_TAIL, _LINES = 64 * 1024, 200  # bytes and lines of what a job has printed that are looked at
_ONCE = 1.5  # s for the WebSocket's first messages, where they are printed once: HTTP has told nearly all


class JobsWanted(NamedTuple):
    """So many jobs at most, what is open first: those that may have all these words."""

    words: str
    most: int


class Answers(NamedTuple):
    """What a daemon answered over HTTP; /health only where the snapshot of an older one doesn't say what is wrong."""

    snapshot: Json
    health: Json | None = None
    history: Json | None = None
    pins: Json | None = None
    events: Json | None = None

    def applied(self, model: Model, now: float) -> Model:
        """The model after these answers, which came at the monotonic time `now`."""
        model = model.with_snapshot(self.snapshot, now)
        model = model if self.health is None else model.with_health(self.health)
        model = model if self.pins is None else model.with_pins(self.pins)
        model = model if self.events is None else model.with_events(self.events)
        return model if self.history is None else model.with_history(self.history)


def ask(address: Address, timeout: float, *, history: bool = False, after: float | None = None) -> Answers:
    """What the daemon answers now; with its history or not, and with the events after that sequence, unless it is None.

    Raises DaemonUnreachable where there is no snapshot.
    """
    snapshot = get_object(address, "/api/v1/snapshot", timeout)
    says_why = "reasons" in snapshot or snapshot.get("system_health") == "healthy"
    return Answers(
        snapshot,
        None if says_why else _optional(address, "/health", timeout),
        _optional(address, "/api/v1/history", timeout) if history else None,
        _optional(address, PINS, timeout) if history else None,
        None if after is None else _optional(address, f"{EVENTS}?after={after:.0f}", timeout),
    )


def change_pin(address: Address, key: str, timeout: float, *, pinned: bool) -> str:
    """Have the daemon pin an own metric, or pin it no more -> why it has refused that, or "".

    Raises DaemonUnreachable.
    """
    answer = exchange(address, "PUT" if pinned else "DELETE", f"{PINS}?{urlencode({'key': key})}", timeout)
    if answer.status < 300:
        return ""
    return str(answer.object().get("detail") or f"the answer is {answer.status}")


def ask_jobs(address: Address, timeout: float, wanted: JobsWanted) -> Json:
    """The jobs that are wanted: `jobs`, how many there are as `total` (None: not counted), and `next`, None after the
    last. The daemon looks for one text, and for states: more words than that narrow its answer later.

    Raises DaemonUnreachable, DaemonRefused.
    """
    words = wanted.words.lower().split()
    statuses = [word for word in words if word in STATUSES]
    text = max((word for word in words if word not in STATUSES), key=len, default="")[:TEXT_MAX]
    remote, place = Remote(address, timeout), None
    jobs: list[Json] = []
    while True:
        page = remote.page(statuses, (), min(LIST_MAX, wanted.most - len(jobs)), place, text, OPEN_FIRST)
        jobs += objects(page.get("jobs"))
        place = page.get("next")
        if not place or len(jobs) >= wanted.most:
            return {"jobs": jobs, "total": page.get("total"), "next": place}


def cancel_job(address: Address, job_id: str, timeout: float) -> str:
    """Have a job cancelled -> what became of it. Raises DaemonUnreachable, and DaemonRefused with the reason."""
    outcomes = Remote(address, timeout).cancel([job_id])
    words = {
        "cancelled": "is cancelled",
        "cancelling": "was told to end",
        "ended": "had ended",
        "unknown": "is unknown",
    }
    return next((words[outcome] for outcome, ids in outcomes.items() if ids), "was not answered for")


def job_lines(address: Address, job_id: str, timeout: float) -> list[str]:
    """The last lines that a job has printed. Raises DaemonUnreachable, DaemonRefused."""
    data = Remote(address, timeout).output(job_id).data[-_TAIL:]
    return data.decode(errors="replace").replace("\r", "\n").splitlines()[-_LINES:]


def stack_lines(address: Address, pid: int, timeout: float) -> list[str]:
    """Where the threads of a process are in their code. Raises DaemonUnreachable, DaemonRefused."""
    processes = objects(fetch(address, pid, timeout).get("processes"))
    return [line for process in processes for line in process_lines(process, all_threads=False)]


def reason_of(error: Exception, address: Address) -> str:
    """What the error says, without the address: the screen has that above."""
    return str(error).removeprefix(f"{address.url}/ws ").removeprefix(f"{address.url} ")


def _optional(address: Address, path: str, timeout: float) -> Json | None:
    """An answer without which there is enough to show: an older daemon may not have it."""
    try:
        answer = exchange(address, "GET", path, timeout)
        return answer.object() if answer.status in (200, 503) else None
    except DaemonUnreachable:
        return None


def with_first_messages(address: Address, timeout: float, model: Model, now: float) -> Model:
    """`model` with the first messages of the WebSocket; as it was, where there is none."""
    timeout = min(timeout, _ONCE)
    try:
        for text in messages(address, timeout, path=PATH, silence=timeout):
            message = parsed(text)
            model = model.with_message(message, now)
            if message.get("type") == "detail":
                break
    except (DaemonUnreachable, DaemonRefused):
        pass
    return model


def parsed(text: str) -> dict[str, object]:
    """A message; empty where it is none."""
    try:
        message = json.loads(text)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
