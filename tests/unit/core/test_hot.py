"""Which form of the hot code is in use."""

from hvd.core import hot
from tests.unit.core.support import HOT_IN_PYTHON, IN_PYTHON


def test_the_installed_form_is_the_compiled_one() -> None:
    """Where there is a compiler, as wherever the tests run."""
    assert hot.IS_COMPILED
    assert hot.HotRow.__module__ == hot.sum_cells.__module__ == "hvd.core._hotrow"


def test_without_the_compiled_module_the_form_is_python() -> None:
    """Nothing else differs."""
    assert not HOT_IN_PYTHON.IS_COMPILED
    assert HOT_IN_PYTHON.HotRow.__module__ == HOT_IN_PYTHON.sum_cells.__module__ == "hvd.core.hotrow"
    assert issubclass(IN_PYTHON.Row, HOT_IN_PYTHON.HotRow)
