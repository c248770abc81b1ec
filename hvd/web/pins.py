"""`/api/v1/pins`: the own metrics that are pinned, and their last fifteen minutes; PUT pins one, DELETE unpins it."""

from collections.abc import Callable, Iterable
from typing import TypedDict

import falcon

from hvd.core.own.pins import KEY_BYTES, PinPoint, Pins
from hvd.errors import BlockFull, BlockLocked
from hvd.web.here import Here
from hvd.web.resources import negotiate, send_json


class PinAnswer(TypedDict):
    """A pinned metric: its key, and its points: Unix time in s, then one value, or two; null where none is known."""

    key: str
    points: list[list[float | None]]


class PinsAnswer(TypedDict):
    """The answer."""

    pins: list[PinAnswer]


class PinsResource:
    """Reads and changes the pins of the block, which the aggregator fills."""

    def __init__(self, here: Here) -> None:
        self._here = here

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        negotiate(req, [falcon.MEDIA_JSON])
        pins = Pins(self._here.parts.block)
        answer: PinsAnswer = {"pins": [{"key": key, "points": rows_of(pins.points(key))} for key in pins.pinned()]}
        send_json(req, resp, answer)

    on_head = on_get

    def on_put(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._change(Pins.add, req, resp)

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._change(Pins.remove, req, resp)

    def _change(self, change: Callable[[Pins, str], None], req: falcon.Request, resp: falcon.Response) -> None:
        try:
            change(Pins(self._here.parts.block), _key(req))
        except BlockLocked as error:
            raise falcon.HTTPServiceUnavailable(description=f"{error}.", retry_after=1) from None
        except BlockFull as error:
            raise falcon.HTTPConflict(description=f"{error}.") from None
        resp.status = falcon.HTTP_204


def _key(req: falcon.Request) -> str:
    """Raises falcon.HTTPBadRequest for one that can't be pinned."""
    key: str = req.get_param("key", required=True)
    if not 0 < len(key.encode("utf-8", "backslashreplace")) <= KEY_BYTES:
        raise falcon.HTTPBadRequest(description=f"A key has 1 to {KEY_BYTES} bytes.")
    return key


def rows_of(points: Iterable[PinPoint]) -> list[list[float | None]]:
    """As JSON has them, to six digits. The second value is left out where no point has one."""
    points = list(points)
    has_second = any(point.second == point.second for point in points)
    return [
        [round(time_ns / 1e9, 3), *map(_number, (first, second) if has_second else (first,))]
        for time_ns, first, second in points
    ]


def _number(value: float) -> float | None:
    return float(f"{value:.6g}") if value == value and abs(value) != float("inf") else None
