"""The names that hvd itself has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hvd
from tests.support.waiting import PATIENCE


def test_every_name_is_there() -> None:
    """Those that are imported when they are first used, too."""
    for name in hvd.__all__:
        assert getattr(hvd, name) is getattr(hvd, name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        hvd.nothing  # noqa: B018


def test_instruments_bring_nothing_large() -> None:
    """Neither what serves nor what others wrote; hvd alone imports nothing of its own."""
    code = """if True:
        import sys, hvd
        assert not [name for name in sys.modules if name.startswith("hvd.")]
        from hvd import Counter, Gauge, Histogram, Summary, Info, Enum, REGISTRY, CollectorRegistry
        large = {"falcon", "psutil", "asyncio", "gunicorn", "sqlalchemy", "prometheus_client", "http", "ssl"}
        print(*large & set(sys.modules))
    """
    result = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert not result.stdout.split()


def test_instruments_are_imported_in_little_time(tmp_path: Path) -> None:
    """Below 20 ms of CPU time, with what Python has for them, once that is compiled."""
    code = """if True:
        import time
        begin = time.process_time()
        from hvd import Counter, Gauge, Histogram, Summary, Info, Enum, REGISTRY, CollectorRegistry
        print(time.process_time() - begin)
    """
    environ = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, env=environ, capture_output=True).stdout)
        for _ in range(6)
    ]
    assert min(times) < 0.02 * PATIENCE
