"""Defaults that depend on other settings, or on the machine."""

import pytest

from hvd.settings import defaults


def test_instances_are_one_for_each_address() -> None:
    """Where the characters of an address can't be those of a name, a hash tells such addresses apart."""
    assert defaults.instance_of({"bind": "127.0.0.1:8080"}) == "127.0.0.1-8080"
    addresses = ("unix:/run/a/b", "unix:/run/a-b", "[::1]:80", "[::]:180", f"{'h' * 80}:1", f"{'g' + 'h' * 79}:1")
    names = {defaults.instance_of({"bind": bind}) for bind in addresses}
    assert len(names) == len(addresses)
    assert all(len(name) <= 64 for name in names)


@pytest.mark.parametrize(("workers", "slots"), [(1, 64), (8, 64), (9, 72), (1024, 4096)])
def test_slots_grow_with_the_workers(workers: int, slots: int) -> None:
    """Up to the most that may be set."""
    assert defaults.slots_of({"workers": workers}) == slots


def test_workers_and_jobs_follow_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of affinity and quota (test_processors.py), not the machine's."""
    for cores, workers in ((1, 2), (6, 6), (2000, 1024)):
        monkeypatch.setattr(defaults, "usable_cores", lambda cores=cores: cores)
        assert defaults.cores({}) == workers
        assert defaults.job_cores({}) == min(cores, 1024)
