"""What is counted, as the block knows it. Who counts says which families there are, see `Families`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """A metric as it lies in the block: `cells` cells for each set of label values, at most `limit` sets."""

    key: str
    labels: tuple[str, ...]
    cells: int = 1
    limit: int | None = 64  # None: the block's number of series

    def most(self, series: int) -> int:
        """How many sets of label values there may be in a block for so many series."""
        return series if self.limit is None else self.limit


@dataclass(frozen=True)
class Families:
    """The families of those who use a block: all, and the two in which a row counts what it begins and finishes."""

    entries: Family  # timed: durations.TIMED_CELLS cells
    aborted: Family  # its only label is the cause
    others: tuple[Family, ...] = ()

    @property
    def all(self) -> tuple[Family, ...]:
        return (self.entries, self.aborted, *self.others)
