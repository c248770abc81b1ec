"""What is installed has no part in these tests."""

import pytest

from hvd.settings import complaints


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is asked for."""
    monkeypatch.setattr(complaints, "is_installed", lambda protocol: True)
