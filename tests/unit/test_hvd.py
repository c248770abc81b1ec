"""The names that hvd itself has."""

import subprocess
import sys

import pytest

import hvd


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
