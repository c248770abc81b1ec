"""What the benchmarks share: interleaved rounds, medians, ratios, and the machine's shape."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def machine() -> str:
    """One line that says where numbers come from."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({', '.join(models) or platform.machine()}), "
        f"{memory:.0f} GiB, Linux {platform.release()}, CPython {platform.python_version()}"
    )


def interleave(variants: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Call each variant once a round, in turn, so that a machine that gets slower slows all of them alike."""
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            figures[name].append(measure())
    return figures


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(one / other for one, other in zip(above, below, strict=True))


def table(title: str, rows: Sequence[Sequence[str]]) -> str:
    """Text columns under a title; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([title, lines[0], "-" * len(lines[0]), *lines[1:], ""])
