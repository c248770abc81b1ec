"""What is kept of a request beside its count, and how late an event loop is: in raw, on /metrics, in /health."""

import time
from pathlib import Path

from tests.support.asgi import SHOP
from tests.support.guest import Guest
from tests.support.http import Asking
from tests.support.waiting import until

UVICORN = ("-k", "uvicorn_worker.UvicornWorker")


def test_sizes_queue_time_exceptions_and_a_stuck_loop_are_told(tmp_path: Path) -> None:
    """As clients and a proxy see them; a loop that stands still is a reason, and no more once it turns again."""
    with Guest(tmp_path, files={"shop.py": SHOP}, workers=1, arguments=UVICORN, interval=0.2) as guest:
        with guest.connection() as client:
            for _ in range(3):
                started = {"X-Request-Start": f"t={time.time() - 1.5:.3f}"}
                assert client.request("POST", "/status/200", started, b"x" * 1000).body == b"hello"
        guest.get("/stream/3", **{"X-Request-Start": "t=1"})  # of no size, and of another clock
        guest.get("/fails")
        until(lambda: guest.snapshot()["queue_time_p99"] == 0.0, "an interval without any has passed")
        with guest.connection() as client:
            client.request("POST", "/status/200", {"X-Request-Start": f"{(time.time() - 1.5) * 1000:.0f}"}, b"x" * 1000)
        until(lambda: guest.snapshot()["queue_time_p50"] > 1400, "the time in the queue is told")
        labels = {"method": "POST", "route": "(other)"}
        for kind, size, below, bound in (("request", 1000, "256", "1024"), ("response", 5, "0", "64")):
            assert guest.sample(f"hvd_http_{kind}_size_bytes_sum", **labels) == 4 * size
            assert guest.sample(f"hvd_http_{kind}_size_bytes_bucket", **labels, le=below) == 0
            assert guest.sample(f"hvd_http_{kind}_size_bytes_bucket", **labels, le=bound) == 4
        assert guest.sample("hvd_http_response_size_bytes_count", method="GET", route="(other)") == 0, "of no stream"
        assert guest.sample("hvd_http_queue_duration_seconds_count") == 4
        assert guest.samples("hvd_http_exceptions_total", "type") == {("ValueError",): 1}
        assert guest.snapshot()["event_loop_lag_seconds"] < 5
        stuck = Asking(guest.address, "/block?s=6")
        reason = until(
            lambda: [text for text in guest.hvd_get("/health").json()["reasons"] if "loop" in text], "a reason"
        )
        assert reason[0].startswith("saturated: the event loop of worker ")
        assert guest.sample("hvd_event_loop_lag_seconds") >= 2
        stuck.wait()
        until(lambda: not guest.hvd_get("/health").json()["reasons"], "it turns again")
