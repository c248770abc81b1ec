"""Types of answers: what is answered has their members."""

import json

from hvd.web.answers import Problem
from hvd.web.problem import problem


def test_a_problem_has_what_is_promised() -> None:
    """Whether there is a detail or not."""
    for detail in (None, "a detail"):
        assert set(json.loads(problem(404, detail))) >= Problem.__required_keys__
