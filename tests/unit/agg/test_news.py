"""Each event is told once, and again where it is told anew."""

from hvd.agg.news import NO_NEWS, EventWatch
from hvd.core.block import Block
from hvd.core.journal import events_of
from hvd.metrics.events import read_events, write_event


def test_events_are_told_by_the_tick_after_them(block: Block) -> None:
    """Not those that were there before; and the newest is named at each tick."""
    assert EventWatch(block).tick() == NO_NEWS
    write_event(block, "start", "hvd has started")
    watch = EventWatch(block)
    assert watch.tick() == {"events": [], "newest_event": 1}
    write_event(block, "reload", "reloaded")
    write_event(block, "stop", "hvd stops")
    news = watch.tick()
    assert ([event["kind"] for event in news["events"]], news["newest_event"]) == (["reload", "stop"], 3)
    assert watch.tick() == {"events": [], "newest_event": 3}


def test_an_event_that_is_written_anew_is_told_again(block: Block) -> None:
    """As one of a crash loop, which has happened once more."""
    for kind in ("boot_failed", "stop"):
        write_event(block, kind, "once")
    watch = EventWatch(block)
    with block.locked():
        events_of(block).write(1, b'{"time": 1, "kind": "boot_failed", "text": "twice"}')
    assert [event["text"] for event in watch.tick()["events"]] == ["twice"]
    assert [event["text"] for event in read_events(block)] == ["twice", "once"]
