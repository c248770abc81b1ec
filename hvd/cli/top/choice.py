"""What the user has chosen to see. Pure: each choice makes a new one of the old."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

WINDOWS = (900.0, 300.0, 60.0)  # s that the charts show
TABS = ("workers", "routes", "jobs", "metrics", "events")


@dataclass(frozen=True)
class Choice:
    """`tab` is the list in view. By list: `orders`, the column that it is sorted by; `turned`, whether the other way
    round; `searches`, what its rows must have. `since_start`: routes since the start, not of the last minute.
    `selected` is the own metric under the cursor.
    """

    tab: str = "routes"
    orders: Mapping[str, str] = field(default_factory=dict)
    turned: frozenset[str] = frozenset()
    searches: Mapping[str, str] = field(default_factory=dict)
    since_start: bool = False
    window: int = 0
    selected: str = ""

    @property
    def search(self) -> str:
        """What the list in view is searched for."""
        return self.searches.get(self.tab, "")

    def with_tab(self, tab: str) -> "Choice":
        """With another list in view."""
        return replace(self, tab=tab) if tab in TABS else self

    def with_next_tab(self, step: int) -> "Choice":
        """With the next list in view, or the one before."""
        return replace(self, tab=TABS[(TABS.index(self.tab) + step) % len(TABS)])

    def with_order(self, table: str, order: str) -> "Choice":
        """Sorted by that column; by the one that it is sorted by already, the other way round."""
        if self.orders.get(table) == order:
            return self.with_turn(table)
        return replace(self, orders={**self.orders, table: order}, turned=self.turned - {table})

    def with_turn(self, table: str) -> "Choice":
        """Sorted the other way round."""
        return replace(self, turned=self.turned ^ {table})

    def with_search(self, text: str) -> "Choice":
        """With only the rows that have these words."""
        return replace(self, searches={**self.searches, self.tab: text})

    def with_next_window(self) -> "Choice":
        """With charts of another time."""
        return replace(self, window=(self.window + 1) % len(WINDOWS))
