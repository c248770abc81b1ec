"""How long a client may take."""

from hvd.daemon.clients.pace import BRISK_RATE, LEAST_AGE, LEAST_RATE, Pace


def test_a_client_that_moves_nothing_has_the_limits_seconds() -> None:
    """Counted from the moment on at which it moved something last."""
    pace = Pace(100.0)
    assert pace.seconds_left(100, 30) == 30
    pace.advance(120, 100_000)
    assert pace.seconds_left(120, 30) == 30
    assert pace.seconds_left(151, 30) < 0


def test_a_byte_now_and_then_is_not_enough() -> None:
    """On the whole it has to move LEAST_RATE bytes a second."""
    pace = Pace(0)
    for now in range(10, 400, 10):
        pace.advance(now, now // 10)
        if pace.seconds_left(now, 30) <= 0:
            break
    assert now == 40
    brisk = Pace(0)
    for now in range(10, 400, 10):
        brisk.advance(now, now * LEAST_RATE)
        assert brisk.seconds_left(now, 30) > 0


def test_an_advance_is_what_moved_in_all() -> None:
    """The same sum again is no progress."""
    pace = Pace(0)
    pace.advance(1, 10)
    pace.advance(20, 10)
    assert pace.moved_at == 1


def test_time_in_which_nobody_waited_is_left_out() -> None:
    """The app may do something else between two reads."""
    pace = Pace(0)
    pace.leave_out(1000)
    assert pace.seconds_left(1001, 30) == 29


def test_who_is_slow_gives_way_after_a_least_age() -> None:
    """And who is brisk never."""
    pace = Pace(0)
    assert not pace.gives_way(LEAST_AGE)
    assert pace.gives_way(LEAST_AGE + 0.01)
    pace.advance(10, 10 * BRISK_RATE)
    assert not pace.gives_way(11)
    assert pace.gives_way(11.01)
    pace.advance(12, 10 * BRISK_RATE + 1)
    assert pace.gives_way(12)
