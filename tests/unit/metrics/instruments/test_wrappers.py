"""Wrapped functions of every kind."""

import asyncio
import inspect

import hvd


def test_async_functions_are_wrapped_until_they_end() -> None:
    """They stay async functions; several at once each have a timer of their own."""
    registry = hvd.CollectorRegistry()
    busy = hvd.Gauge("busy", "Busy.", registry=registry)
    took = hvd.Summary("took", "Took.", registry=registry)
    failed = hvd.Counter("failed", "Failed.", registry=registry)

    @failed.count_exceptions()
    @took.time()
    @busy.track_inprogress()
    async def wait(begun: asyncio.Event, end: asyncio.Event, *, fails: bool = False) -> int:
        begun.set()
        await end.wait()
        return 1 // (not fails)

    async def run() -> None:
        begun, ends = [asyncio.Event() for _ in range(2)], [asyncio.Event() for _ in range(2)]
        tasks = [asyncio.create_task(wait(begun[number], ends[number], fails=bool(number))) for number in range(2)]
        await asyncio.gather(*(event.wait() for event in begun))
        assert registry.get_sample_value("busy") == 2
        for number, task in enumerate(tasks):
            ends[number].set()
            await asyncio.wait([task])
            assert registry.get_sample_value("took_count") == number + 1
        assert tasks[0].result() == 1
        assert isinstance(tasks[1].exception(), ZeroDivisionError)

    asyncio.run(run())
    assert registry.get_sample_value("busy") == 0
    assert registry.get_sample_value("failed_total") == 1
    assert inspect.iscoroutinefunction(wait)
    assert str(inspect.signature(wait)).startswith("(begun: asyncio.locks.Event")
    assert inspect.getfullargspec(wait).kwonlyargs == ["fails"]


def test_of_a_generator_the_call_is_wrapped() -> None:
    """As prometheus_client does."""
    took = hvd.Summary("took", "Took.", registry=None)

    @took.time()
    def numbers() -> object:
        yield 1

    made = numbers()
    assert took.collect()[0].samples[0].value == 1
    assert next(made) == 1


def test_what_has_no_signature() -> None:
    """Some functions written in C can't say theirs."""
    took = hvd.Summary("took", "Took.", registry=None)
    assert took.time()(max)(1, 2) == 2
