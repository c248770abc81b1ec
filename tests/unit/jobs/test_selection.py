"""Which jobs a request means: lists of ids, filters, and what contradicts itself."""

from itertools import product
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from hvd.jobs.ids import new_id
from hvd.jobs.selection import Rules, check_selection
from hvd.jobs.states import OPEN, STATUSES
from hvd.jobs.submission import JOBS_MAX

QUERY = Rules(STATUSES, 500, 50, names_set=False)
CANCEL = Rules(OPEN, 100, 100, names_set=True)
ID = new_id()


@pytest.mark.parametrize("member", ["ids", "job_ids"])
@pytest.mark.parametrize("rules", [QUERY, CANCEL])
def test_ids_are_read_each_once(member: str, rules: Rules) -> None:
    """What can't be an id is told apart: no database has to look for it. `all` as false says nothing more."""
    first, second = new_id(), new_id()
    texts = [second, "x", first, second, "\ud800", first.upper(), f"{{{first}}}", "", "x"]
    selection = check_selection({member: texts, "all": False}, rules)
    assert selection.ids == [second, first]
    assert selection.malformed == ["x", "\ud800", first.upper(), f"{{{first}}}", ""]
    assert (selection.is_filter, selection.problems) == (False, [])


@pytest.mark.parametrize(
    ("body", "statuses", "limit"),
    [
        ({"all": True}, [], 50),
        ({"all": True, "status": "running"}, ["running"], 50),
        ({"status": ["pending", "failed", "pending"], "limit": 7}, ["pending", "failed"], 7),
        ({"all": False, "limit": 500}, [], 500),
        ({"all": False}, [], 50),
    ],
)
def test_a_filter_says_of_which_statuses_and_how_many(body: object, statuses: list[str], limit: int) -> None:
    """A status may stand alone, as a text; without any it means all."""
    selection = check_selection(body, QUERY)
    assert (selection.is_filter, selection.statuses, selection.limit) == (True, statuses, limit)
    assert not selection.problems


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (None, ""),
        ([], ""),
        ({}, "/ids"),
        ({"ids": []}, "/ids"),
        ({"job_ids": None}, "/job_ids"),
        ({"ids": "x"}, "/ids"),
        ({"job_ids": ["x", 7]}, "/job_ids/1"),
        ({"ids": ["x"] * (JOBS_MAX + 1)}, "/ids"),
        ({"ids": ["x"], "id": "x"}, "/id"),
        ({"all": "yes"}, "/all"),
        ({"status": "nope"}, "/status/0"),
        ({"status": []}, "/status"),
        ({"status": ["running"] * 6}, "/status"),
        ({"all": True, "limit": 0}, "/limit"),
        ({"all": True, "limit": 501}, "/limit"),
        ({"all": True, "limit": 1.5}, "/limit"),
        ({"all": True, "limit": True}, "/limit"),
    ],
)
def test_what_selects_nothing_is_refused(body: object, pointer: str) -> None:
    """With the place, as jobs are."""
    selection = check_selection(body, QUERY)
    assert (selection.ids, selection.malformed) == ([], [])
    assert [problem.pointer for problem in selection.problems] == [pointer]
    assert all(problem.detail.isascii() for problem in selection.problems)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"ids": [ID], "job_ids": [ID]}, ("job_ids", "ids")),
        ({"ids": [ID], "all": True}, ("ids", "all")),
        ({"job_ids": [ID], "status": "running"}, ("job_ids", "status")),
        ({"job_ids": [ID], "limit": 5}, ("job_ids", "limit")),
        ({"job_ids": [ID], "all": False, "limit": 5}, ("job_ids", "limit")),
    ],
)
def test_what_contradicts_itself_is_refused_with_both_names(body: object, names: tuple[str, str]) -> None:
    """Whatever is asked for."""
    for rules in (QUERY, CANCEL):
        (problem,) = check_selection(body, rules).problems
        assert all(name in problem.pointer + problem.detail for name in names)


@pytest.mark.parametrize("body", [{"all": False}, {"limit": 5}, {"all": False, "limit": 5}, {}])
def test_nothing_is_cancelled_because_a_member_was_forgotten(body: object) -> None:
    """All must be said."""
    assert [problem.pointer for problem in check_selection(body, CANCEL).problems] == ["/ids"]
    assert not check_selection({"status": "pending"}, CANCEL).problems


def test_what_has_ended_can_not_be_cancelled() -> None:
    """The answer names what can."""
    (problem,) = check_selection({"status": ["pending", "failed"]}, CANCEL).problems
    assert problem.pointer == "/status/1"
    assert "pending, running" in problem.detail


ALL_MEMBERS: dict[str, tuple[Any, ...]] = {
    "ids": ([ID], [], 7),
    "job_ids": ([ID],),
    "all": (True, False, None),
    "status": ("pending", ["pending", "running"], "nope", [], "failed"),
    "limit": (1, 100, 0, 501),
}


@pytest.mark.parametrize("rules", [QUERY, CANCEL])
def test_the_schema_says_what_the_check_does(rules: Rules) -> None:
    """Of every combination of members, right or wrong or contradictory."""
    Draft202012Validator.check_schema(rules.schema())
    validator: Any = Draft202012Validator(rules.schema())
    choices = [[(name, None), *((name, (value,)) for value in values)] for name, values in ALL_MEMBERS.items()]
    for combination in product(*choices):
        body = {name: value[0] for name, value in combination if value is not None}
        assert validator.is_valid(body) == (not check_selection(body, rules).problems), body
