"""The exception tree: its shape, its drawing, and what a SettingsError says."""

import pickle
import re

import pytest

from hvd import errors

TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, errors.HvdError)]


def test_every_exception_descends_from_hvd_error_as_the_docstring_draws_it() -> None:
    """The list in the module's docstring is the tree: its indentation is the inheritance."""
    drawn: dict[str, str] = {}
    above: list[str] = []
    for indent, name in re.findall(r"^( *)\* `(\w+)`", errors.__doc__ or "", re.MULTILINE):
        above = [*above[: len(indent) // 4], name]
        drawn[name] = above[-2] if len(above) > 1 else "Exception"
    assert drawn == {each.__name__: each.__base__.__name__ for each in TREE if each.__base__}


def test_settings_error_says_every_problem_on_a_line_of_its_own() -> None:
    """Nobody has to start the daemon once for each mistake."""
    error = errors.SettingsError(["a is 1", "b is 2"])
    assert error.problems == ("a is 1", "b is 2")
    assert str(error) == "a is 1\nb is 2"


def test_settings_error_survives_pickling() -> None:
    """An exception that can't be pickled breaks whatever carries it to another process."""
    assert pickle.loads(pickle.dumps(errors.SettingsError(["x"]))).problems == ("x",)


def test_a_refusal_keeps_the_answers_status() -> None:
    """Whoever waits goes on waiting at some of them."""
    error = pickle.loads(pickle.dumps(errors.DaemonRefused("no", 503)))
    assert (str(error), error.status) == ("no", 503)


@pytest.mark.parametrize("kind", [each for each in TREE if each is not errors.SettingsError])
def test_other_exceptions_say_their_message(kind: type[Exception]) -> None:
    """They carry a text, nothing else."""
    assert str(kind("text")) == "text"
