"""What the shops measure, in each kind that processes share. The instruments are prometheus_client's or, where the
variable INSTRUMENTS says so, hvd's.
"""

import importlib
import os
import threading
import time
from typing import Any

_library: Any = importlib.import_module(os.environ.get("INSTRUMENTS", "prometheus_client"))
Counter, Gauge, Histogram, Summary = (getattr(_library, kind) for kind in ("Counter", "Gauge", "Histogram", "Summary"))

ORDERS = Counter("shop_orders", "Orders by item.", ["item"])
PIECES = Counter("shop_pieces_total", "Pieces sold.")
REVENUE = Counter("shop_revenue", 'In euros;\nback\\slash "quoted"', ["paid", "item"], unit="euros")
REFUSED = Counter("shop_refused", "Orders of a customer whom nobody serves.", namespace="our", subsystem="front")
SIZES = Histogram("shop_order_pieces", "Pieces of an order.", ["item"], buckets=(1, 2, 5, 10))
SECONDS = Histogram("shop_order_seconds", "How long an order takes.")
WEIGHT = Summary("shop_order_weight", "In kg.", ["item"])
LARGEST = Gauge("shop_largest_order", "Pieces.", multiprocess_mode="max")
SMALLEST = Gauge("shop_smallest_order", "Pieces.", ["item"], multiprocess_mode="min")
RESERVED = Gauge("shop_reserved_pieces", "Pieces.", multiprocess_mode="sum")
IN_PROGRESS = Gauge("shop_orders_in_progress", "Orders.", multiprocess_mode="livesum")
LAST = Gauge("shop_last_order", "Pieces.", multiprocess_mode="mostrecent")
SERVES = Gauge("shop_worker_serves", "1 where a worker serves.")
SERVES.set(1)


@SECONDS.time()
@IN_PROGRESS.track_inprogress()
@REFUSED.count_exceptions(PermissionError)
def order(item: str, pieces: int) -> None:
    """Take an order, in 5 ms, in which it is half counted. Raises PermissionError for more than 12 pieces."""
    if pieces > 12:
        raise PermissionError(pieces)
    ORDERS.labels(item).inc()
    PIECES.inc(pieces)
    REVENUE.labels(item=item, paid="card").inc(pieces * 0.25)
    SIZES.labels(item).observe(pieces)
    time.sleep(0.005)
    WEIGHT.labels(item).observe(pieces * 0.5)
    with _lock:
        _extremes["largest"] = max(pieces, _extremes.get("largest", 0))
        _extremes[item] = min(pieces, _extremes.get(item, pieces))
        LARGEST.set(_extremes["largest"])
        SMALLEST.labels(item).set(_extremes[item])
    RESERVED.inc(pieces)
    LAST.set(pieces)


_extremes: dict[str, int] = {}
_lock = threading.Lock()


def answer(item: str, pieces: int) -> tuple[int, str]:
    """Take an order -> status and text for whom it is of."""
    try:
        order(item, pieces)
    except PermissionError:
        return 403, "refused"
    return 200, "ordered"
