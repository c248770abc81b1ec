"""Doing something again and again beside a test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeatedly(work: Callable[[], object], pause: float = 0.01) -> Iterator[None]:
    """In a thread meanwhile, with a pause of so many seconds between one time and the next."""
    is_over = threading.Event()

    def run() -> None:
        while not is_over.is_set():
            work()
            is_over.wait(pause)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
