"""Which of two companions of a kind works, while an upgrade has two masters: the newer master's.

Of admin servers, both listen on the same socket; of exporters, both would send the same figures. The older one stands
back while the newer one gives signs of life, and so takes over again when that ends, or is stuck.
"""

import time

from hvd.core import layout
from hvd.core.block import Block
from hvd.core.slots import Slots

LATE = 1.0  # s without a sign of life, of which there is one each 0.25 s, after which the older one takes over


def has_newer(block: Block, slot: int) -> bool:
    """True while a companion of the same kind works for a newer master than that of this slot."""
    slots, now = Slots(block), time.monotonic_ns()
    own = slots.get(slot)
    others = (slots.get(number) for number in range(layout.COMPANION_SLOTS) if number != slot)
    return own is not None and any(
        other.master_start > own.master_start and now - other.heartbeat_ns < LATE * 1e9
        for other in others
        if other and other.kind == own.kind
    )
