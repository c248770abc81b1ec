"""Ids sort by time, and are unique."""

import threading
import time
import uuid

from hvd.jobs.ids import is_id, new_id


def test_ids_rise_within_a_process() -> None:
    """Also within one millisecond."""
    ids = [new_id() for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_ids_are_uuids_of_version_7() -> None:
    """Whose first 48 bits are the Unix time in ms (RFC 9562, section 5.7)."""
    before = time.time_ns() // 10**6
    number = uuid.UUID(new_id())
    assert (number.version, number.variant) == (7, uuid.RFC_4122)
    assert before <= number.int >> 80 <= time.time_ns() // 10**6


def test_threads_share_no_id() -> None:
    """Eight at once."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend([new_id() for _ in range(2000)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 16_000


def test_what_is_no_id_is_told() -> None:
    """Other spellings of a UUID too: an id has one form."""
    assert is_id(new_id())
    for text in ("", "x", new_id().upper(), "{" + new_id() + "}", new_id().replace("-", ""), "1" * 10_000):
        assert not is_id(text)
