"""Which form of the hot code is in use."""

import platform

import pytest

from hvd.core import hot
from tests.unit.core.support import HOT_IN_PYTHON, IN_PYTHON, second


def test_the_installed_form_is_the_compiled_one() -> None:
    """Where there is a compiler, as wherever the tests run."""
    assert hot.IS_COMPILED
    assert hot.HotRow.__module__ == hot.sum_rows.__module__ == "hvd.core._hotrow"


def test_without_the_compiled_module_the_form_is_python() -> None:
    """Nothing else differs."""
    assert not HOT_IN_PYTHON.IS_COMPILED
    assert HOT_IN_PYTHON.HotRow.__module__ == HOT_IN_PYTHON.sum_rows.__module__ == "hvd.core.hotrow"
    assert issubclass(IN_PYTHON.Row, HOT_IN_PYTHON.HotRow)


@pytest.mark.parametrize(("machine", "keeps"), [("x86_64", True), ("aarch64", False), ("riscv64", False)])
def test_where_stores_may_be_seen_in_another_order_python_says_so(
    machine: str, keeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled, the order is asked for; in Python it is the processor's."""
    monkeypatch.setattr(platform, "machine", lambda: machine)
    module = second("hot", _hotrow=None)
    assert keeps == module.KEEPS_ORDER
    assert module.COST_OF_PYTHON.startswith("as exact" if keeps else f"slower, and on {machine} a figure may be wrong")
    assert hot.KEEPS_ORDER
