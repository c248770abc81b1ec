"""The proof of every read: started = finished + in flight + aborted."""

from collections.abc import Iterator
from contextlib import contextmanager

from hvd.core.totals import Heads
from tests.support.repeating import repeatedly
from tests.support.server import Server


@contextmanager
def proving(server: Server) -> Iterator[None]:
    """Meanwhile reads again and again: each read has its proof, and no sum is below an earlier one."""
    faults, before = [], [Heads()]

    def read() -> None:
        heads = view.totals().heads
        if heads.started != heads.finished + heads.aborted + heads.in_flight or heads.in_flight < 0:
            faults.append(f"no proof: {heads}")
        if any(new < old for new, old in zip(heads[:4], before[-1][:4], strict=True)):
            faults.append(f"{before[-1]} before {heads}")
        before.append(heads)

    with server.view() as view, repeatedly(read):
        yield
    assert not faults, faults[:10]
    assert len(before) > 4
