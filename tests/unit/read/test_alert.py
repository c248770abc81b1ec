"""Changes of the health that last are told once; where it flaps, seldom."""

from hvd.read.alert import CALM, QUARTER, SURE, Alerts, Change
from hvd.read.health import HealthState, Status

BUSY = ["saturated: all 4 threads busy for 5.0 s"]
AWAY = ["aggregator away: process figures are old"]


def told(alerts: Alerts, *looks: tuple[float, Status, list[str]]) -> list[Change]:
    """What is told of these looks, at these times."""
    changes = (alerts.observe(at, HealthState(status, reasons)) for at, status, reasons in looks)
    return [change for change in changes if change]


def test_an_alert_and_its_end_are_told_once_they_last() -> None:
    """As of when they began, however the reasons' figures change."""
    alerts = Alerts()
    assert told(alerts, (10, "healthy", []), (11, "degraded", BUSY)) == []
    later = ["saturated: all 4 threads busy for 6.0 s"]
    assert told(alerts, (11 + SURE, "degraded", later)) == [Change("degraded", 11, later)]
    assert told(alerts, (30, "degraded", ["saturated: all 8 threads busy for 25.0 s"]), (31, "healthy", [])) == []
    assert told(alerts, (31 + CALM, "healthy", [])) == [Change("healthy", 31, [], 20)]
    assert told(alerts, (60, "healthy", [])) == []


def test_what_is_over_at_once_is_not_told() -> None:
    """As a moment in which the only worker is replaced, or a start, which is neither well nor ill."""
    looks: list[tuple[float, Status, list[str]]] = [(1, "degraded", AWAY), (1.5, "healthy", []), (3, "degraded", AWAY)]
    assert told(Alerts(), *looks, (3.5, "starting", []), (9, "degraded", AWAY)) == []


def test_what_gets_worse_is_told_and_what_gets_better() -> None:
    """Another reason too, which would be hidden behind one that stays for the night; all one alert."""
    alerts = Alerts()
    changes = told(
        alerts,
        *((0, "degraded", AWAY), (1, "degraded", AWAY)),
        *((50, "degraded", AWAY + BUSY), (52, "degraded", AWAY + BUSY)),
        *((60, "unhealthy", AWAY + BUSY), (62, "unhealthy", BUSY)),
        *((70, "degraded", AWAY), (80, "degraded", AWAY), (85, "degraded", BUSY)),
        *((100, "healthy", []), (120, "healthy", [])),
    )
    states = [(change.state, change.at, change.seconds) for change in changes]
    assert states == [
        *(("degraded", 0, 0), ("degraded", 50, 0), ("unhealthy", 60, 0), ("degraded", 70, 0)),
        ("healthy", 100, 100),
    ]


def test_what_flaps_makes_no_flood() -> None:
    """Six seconds ill, then six well, for eight hours: each alert is over later than the one before."""
    alerts = Alerts()
    looks: list[tuple[float, Status, list[str]]] = [
        (at, "degraded" if at // 6 % 2 else "healthy", BUSY if at // 6 % 2 else []) for at in range(8 * 3600)
    ]
    first, *others = [change for change in told(alerts, *looks) if not change.is_over]
    assert (first.at, [alert.at for alert in others]) == (6, [18])
    assert told(alerts, *((30_000 + at, "healthy", []) for at in range(60)))[0].is_over
    ill = 30_000 + QUARTER
    assert told(alerts, (ill, "degraded", BUSY), (ill + SURE, "degraded", BUSY))
    well = ill + 60
    assert told(alerts, (well, "healthy", []), (well + CALM, "healthy", [])), "it is not held against it for ever"


def test_another_one_goes_on_where_the_last_one_ended() -> None:
    """What was told is not told again, and its end is."""
    alerts = Alerts("degraded", 100, BUSY)
    assert told(alerts, (200, "degraded", BUSY), (210, "degraded", BUSY)) == []
    assert told(alerts, (220, "healthy", []), (220 + CALM, "healthy", [])) == [Change("healthy", 220, [], 120)]
