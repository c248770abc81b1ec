"""The demo's customers, who go on whatever they get."""

import socket

from hvd.demo.traffic import Traffic, jobs
from tests.support.waiting import until


def test_customers_outlive_a_shop_that_hangs_up() -> None:
    """They come again, until they are stopped."""
    with socket.create_server(("127.0.0.1", 0)) as shop:
        traffic = Traffic(shop.getsockname(), lambda: None)
        traffic.start()
        for _ in range(20):
            shop.accept()[0].close()
        traffic.stop()
    until(lambda: not any(thread.is_alive() for thread in traffic._threads), "all have left")


def test_there_are_jobs_of_two_kinds() -> None:
    """In turn."""
    some = jobs()
    assert [next(some)["kind"] for _ in range(3)] == ["thumbnails", "invoice", "thumbnails"]
