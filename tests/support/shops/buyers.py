"""The shops' buyers, and what the metrics must be after what they bought."""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote

from tests.support.http import Address, Connection

ITEMS = "tea", "milk", 'crème "brûlée"', "back\\slash", "two\nlines"
BUCKETS = {"1.0": 1, "2.0": 2, "5.0": 5, "10.0": 10, "+Inf": 10**9}

Order = tuple[str, int]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def path_of(order: Order) -> str:
    return f"/orders/{quote(order[0], safe='')}/{order[1]}"


def some_order(chance: random.Random) -> Order:
    return chance.choice(ITEMS), chance.randint(1, 13)


@dataclass
class Bought:
    """Orders that were answered, and those whose connection broke before."""

    answered: Counter[Order] = field(default_factory=Counter)
    unanswered: Counter[Order] = field(default_factory=Counter)

    def order(self, address: Address, order: Order) -> None:
        """One order, on a connection of its own."""
        try:
            with Connection(address) as connection:
                status = connection.get(path_of(order), Connection="close").status
        except OSError:
            self.unanswered[order] += 1
            return
        assert status == (403 if order[1] > 12 else 200), (status, order)
        self.answered[order] += 1

    def wrong(self, samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> dict[str, object]:
        """What the samples say of the orders that can't be: what must be there at least, what is, and at most."""
        least, most = expected(self.answered), expected(self.answered + self.unanswered)
        faults: dict[str, object] = {}
        for key in least.keys() | most.keys():
            low, high = sorted((least.get(key, 0), most.get(key, 0)))
            value = samples.get(key, 0)
            if not low <= value <= high:
                faults[f"{key[0]}{dict(key[1])}"] = low, value, high
        return faults


def expected(orders: Counter[Order]) -> Samples:
    """What the metrics of measures.py that depend on nothing else are after these orders."""
    found: Samples = defaultdict(float)
    for (item, pieces), number in orders.items():
        found["shop_order_seconds_count", _labels()] += number
        if pieces > 12:
            found["our_front_shop_refused_total", _labels()] += number
            continue
        found["shop_orders_total", _labels(item=item)] += number
        found["shop_pieces_total", _labels()] += pieces * number
        found["shop_revenue_euros_total", _labels(item=item, paid="card")] += pieces * number * 0.25
        found["shop_order_pieces_sum", _labels(item=item)] += pieces * number
        found["shop_order_pieces_count", _labels(item=item)] += number
        for text, bound in BUCKETS.items():
            found["shop_order_pieces_bucket", _labels(item=item, le=text)] += number * (pieces <= bound)
        found["shop_order_weight_sum", _labels(item=item)] += pieces * number * 0.5
        found["shop_order_weight_count", _labels(item=item)] += number
        found["shop_reserved_pieces", _labels()] += pieces * number
        largest, smallest = ("shop_largest_order", _labels()), ("shop_smallest_order", _labels(item=item))
        found[largest] = max(found[largest], pieces)
        found[smallest] = min(found.get(smallest, pieces), pieces)
    return dict(found)


def _labels(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


class Buyers:
    """So many of them, a thread each, that order until they are left."""

    def __init__(self, address: Address, buyers: int = 6, pause: float = 0.01) -> None:
        self._over = threading.Event()
        self._address, self._pause = address, pause
        self._lists = [Bought() for _ in range(buyers)]
        self._threads = [
            threading.Thread(target=self._run, args=(number, bought)) for number, bought in enumerate(self._lists)
        ]

    def _run(self, seed: int, bought: Bought) -> None:
        chance = random.Random(seed)
        while not self._over.wait(self._pause):
            bought.order(self._address, some_order(chance))

    @property
    def bought(self) -> Bought:
        """What all of them have; once they are left."""
        total = Bought()
        for bought in self._lists:
            total.answered += bought.answered
            total.unanswered += bought.unanswered
        return total

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
