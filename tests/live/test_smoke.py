"""The daemon starts, counts, answers, and stops without leaving anything."""

from pathlib import Path

from tests.support.server import Server
from tests.support.ws import RawWebSocket


def test_numbers_agree_everywhere(tmp_path: Path) -> None:
    """What clients got is what /metrics, /api/v1/snapshot and /ws say."""
    with Server(tmp_path, workers=2, threads=2, interval=0.2) as server:
        for _ in range(10):
            assert server.get("/hello").status == 200
        assert server.counted()["/hello", 200] == 10
        assert server.snapshot()["http_requests"] >= 11
        with RawWebSocket(server.address) as client:
            assert client.status == 101
            assert client.message()["data"]["raw"]["http_requests"] > 0
    assert not server.alarms
