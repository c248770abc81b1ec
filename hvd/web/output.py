"""`/jobs/{job_id}/output`: what a job printed, whole or a part (RFC 9110, section 14), and more of it as it comes.

Bytes have the numbers that they had when they were printed: what was left out between the beginning and the end, for
the limit's sake, can't be had, and a range that begins there is answered from where there is something again.
"""

import contextlib
import re
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import falcon

from hvd.jobs.job import Job
from hvd.jobs.states import ENDED
from hvd.jobs.transcript import Extent, OvertakenError, Transcript
from hvd.web.here import Here
from hvd.web.jobs import Resource, job_of

if TYPE_CHECKING:
    from hvd.jobs.service import JobService

STATUS = "Hvd-Job-Status"  # how the job was before its output was looked at: once it has ended, that is all of it
WAIT = 2.0  # s that one answer waits for more: a thread is taken, and a stop or a reload waits for it
LOOK, ASK = 0.05, 0.5  # s between looks at the file meanwhile, and at the job
FOLLOWED = 1024 * 1024  # bytes of one answer to a client that follows
_RANGE = re.compile(r"bytes[ \t]*=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*")


class Range(NamedTuple):
    """Bytes that were asked for; without `first` the last ones, without `last` all from there on."""

    first: int | None
    last: int | None


class JobOutput(Resource):
    """At most half of a worker's threads wait for output; further requests are answered without waiting."""

    def __init__(self, here: Here) -> None:
        super().__init__(here)
        self._lock = threading.Lock()
        self._waiting = 0

    def on_get(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        service = self.service(req, offered=falcon.MEDIA_TEXT)
        wanted, follows = _range_of(req), _follows(req)
        job = job_of(service, job_id)
        if follows:
            job = self._wait(service, job, wanted.first if wanted else 0)
        transcript = service.output(job)
        if transcript is None and is_lost(service, job):
            raise falcon.HTTPNotFound(
                description=f"The output of this job is not kept here. It ran on {job.host}: ask the daemon there,"
                f" or GET /jobs/{job.id} for its last lines."
            )
        resp.cache_control = ["no-store"]
        for name, value in ((STATUS, job.status), ("Accept-Ranges", "bytes"), ("X-Content-Type-Options", "nosniff")):
            resp.set_header(name, value)
        if transcript:
            _answer(resp, transcript, wanted, follows=follows, is_open=job.status not in ENDED)
        elif follows:
            resp.status = 204
        if resp.status_code != 204:
            resp.content_type = falcon.MEDIA_TEXT

    def on_head(self, req: falcon.Request, resp: falcon.Response, job_id: str) -> None:
        self.on_get(req, resp, job_id)
        if isinstance(resp.stream, _Body):  # which nobody reads, nor closes
            resp.stream.close()
            resp.stream = None

    def _wait(self, service: "JobService", job: Job, start: int | None) -> Job:
        """Wait until there is something from that byte on, or the job has ended -> the job as it is then."""
        deadline = time.monotonic() + WAIT
        ask_at = time.monotonic() + ASK
        with self._place() as has_place:
            while has_place and job.status not in ENDED and time.monotonic() < deadline:
                if start is None or _size(service.output(job)) > start:
                    break
                time.sleep(LOOK)
                if time.monotonic() >= ask_at:
                    job = service.get(job.id) or job
                    ask_at = time.monotonic() + ASK
        return job

    @contextlib.contextmanager
    def _place(self) -> Iterator[bool]:
        with self._lock:
            has_place = self._waiting < self.settings.threads // 2
            if has_place:
                self._waiting += 1
        try:
            yield has_place
        finally:
            if has_place:
                with self._lock:
                    self._waiting -= 1


def is_lost(service: "JobService", job: Job) -> bool:
    """Whether a job that has no transcript here may have printed something: there is one elsewhere, or was one."""
    return bool(job.output) or service.is_elsewhere(job)


def _size(transcript: Transcript | None) -> int:
    if transcript is None:
        return 0
    with transcript:
        return transcript.look().total


class _Body:
    """Parts of a file: bytes by their numbers, or texts between them."""

    def __init__(self, transcript: Transcript, parts: list[tuple[int, int] | bytes]) -> None:
        self._transcript = transcript
        self._parts = parts
        self.size = sum(len(part) if isinstance(part, bytes) else part[1] - part[0] for part in parts)

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            if isinstance(part, bytes):
                yield part
            else:
                yield from self._transcript.read(*part)

    def close(self) -> None:
        self._transcript.close()


def _answer(
    resp: falcon.Response, transcript: Transcript, wanted: Range | None, *, follows: bool, is_open: bool
) -> None:
    """Closes the file. Of a job that runs everything is read at once, before it is written over."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(transcript)
        for attempt in range(64):
            extent = transcript.look()
            # one that prints faster than we read: less of the end, until we are faster
            extent = extent._replace(last=max(extent.first, extent.total - ((extent.total - extent.last) >> attempt)))
            body = _Body(transcript, _parts(resp, extent, wanted, follows))
            if body.size and not is_open:  # a stream that is not sent is not closed
                stack.pop_all()
                resp.stream, resp.content_length = body, body.size
                return
            with contextlib.suppress(OvertakenError):
                resp.data = b"".join(body)
                return


def _parts(resp: falcon.Response, extent: Extent, wanted: Range | None, follows: bool) -> list[tuple[int, int] | bytes]:
    """What is to be sent; the status and Content-Range are set. Raises falcon.HTTPRangeNotSatisfiable."""
    if wanted is None and follows and not extent.total:
        resp.status = 204
        return []
    if wanted is None or not (extent.total or follows):
        resp.status = 200
        if extent.first == extent.last:
            return [(0, extent.total)]
        note = b"\n[hvd: %d bytes are left out here]\n" % (extent.last - extent.first)
        return [(0, extent.first), note, (extent.last, extent.total)]
    start = max(0, extent.total - (wanted.last or 0)) if wanted.first is None else wanted.first
    if follows and start == extent.total:
        resp.status = 204
        return []
    end = extent.total if wanted.first is None or wanted.last is None else min(wanted.last + 1, extent.total)
    first, behind = extent.run_from(start)
    behind = min(behind, end, first + FOLLOWED if follows else end)
    if first >= behind:
        raise falcon.HTTPRangeNotSatisfiable(
            extent.total,
            description=f"None of that range is kept: there are {extent.total} bytes, of which"
            f" {extent.last - extent.first}, from {extent.first} on, are left out.",
        )
    resp.status = 206
    resp.content_range = (first, behind - 1, extent.total)
    return [(first, behind)]


def _range_of(req: falcon.Request) -> Range | None:
    """The one range of bytes that is asked for; several, others, and what can't be read are passed over, as section
    14.2 allows, and one that depends on a validator (section 13.1.5), of which none is given.
    """
    match = _RANGE.fullmatch(req.get_header("Range") or "")
    if not match or match.groups() == ("", "") or req.get_header("If-Range"):
        return None
    first, last = (int(text) if text else None for text in match.groups())
    if first is not None and last is not None and last < first:
        return None
    return Range(first, last)


def _follows(req: falcon.Request) -> bool:
    unknown_names = req.params.keys() - {"follow"}
    if unknown_names or req.get_param("follow", default="0") not in ("0", "1"):
        raise falcon.HTTPBadRequest(description="The only parameter is follow, which is 0 or 1.")
    return req.get_param("follow") == "1"
