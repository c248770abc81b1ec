"""What the user has chosen."""

from hvd.cli.top.choice import TABS, Choice


def test_tabs_go_round() -> None:
    """A name that isn't one changes nothing."""
    assert Choice().with_next_tab(1).tab == "jobs"
    assert Choice(tab=TABS[-1]).with_next_tab(1).tab == TABS[0]
    assert Choice().with_tab("events").tab == "events"
    assert Choice().with_tab("nonsense") == Choice()


def test_the_same_column_again_turns_the_order() -> None:
    """Another one doesn't; each list has its own."""
    chosen = Choice().with_order("routes", "p99")
    assert (chosen.orders, chosen.turned) == ({"routes": "p99"}, frozenset())
    assert chosen.with_order("routes", "p99").turned == {"routes"}
    assert chosen.with_turn("routes").with_order("routes", "5xx").turned == frozenset()
    assert chosen.with_order("jobs", "state").orders == {"routes": "p99", "jobs": "state"}


def test_each_list_has_its_search() -> None:
    """That in view has its own."""
    chosen = Choice().with_search("pay")
    assert chosen.search == "pay"
    assert chosen.with_tab("jobs").search == ""


def test_windows_go_round() -> None:
    """15, 5, 1 minutes."""
    assert [Choice(window=window).with_next_window().window for window in range(3)] == [1, 2, 0]
