"""Which unit a process is in; what the unit's manager says is tried in a booted system."""

import os
from pathlib import Path

import pytest

from hvd.cli import unit as unit_module
from hvd.cli.unit import Unit, unit_of


@pytest.mark.parametrize(
    ("groups", "unit"),
    [
        ("0::/system.slice/hvd.service\n", Unit("hvd.service")),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/shop.service\n", Unit("shop.service", is_users=True)),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/app.scope\n", Unit("user@1.service")),
        ("2:cpu:/\n1:name=systemd:/system.slice/hvd.service/sub\n0::/\n", Unit("hvd.service")),
        ("0::/\n", None),
    ],
)
def test_it_is_the_innermost_service(
    groups: str, unit: Unit | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the control group."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text(groups)
    monkeypatch.setattr(unit_module, "PROC", tmp_path)
    assert unit_of(7) == unit
    assert unit_of(8) is None


def test_without_an_answer_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a unit that nobody has, or where there is no systemctl."""
    for path in (os.environ["PATH"], str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        unit = Unit("hvd-test-of-nobody.service")
        assert unit.main_pid() == 0
        assert unit.journal(0, 5) == []
