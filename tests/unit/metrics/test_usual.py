"""Label values that are shown from the start."""

import inspect

from hvd.agg.hub import Hub
from hvd.core import layout
from hvd.jobs import states
from hvd.metrics.table import FAMILIES
from hvd.metrics.usual import DISCONNECTIONS, EXIT_CAUSES, JOB_ENDED, JOB_OPEN, USUAL


def test_usual_values_fit_their_families() -> None:
    """One for each label, each once."""
    families = {family.key: family for family in FAMILIES.all}
    for key, values in USUAL.items():
        assert len(values) == len(set(values))
        assert {len(labels) for labels in values} == {len(families[key].labels)}


def test_every_kind_of_process_has_every_usual_end() -> None:
    """So the first crash of each is an increase."""
    assert len(USUAL["exits"]) == (len(layout.KIND_NAMES) - 2) * len(EXIT_CAUSES) + 2 * 2
    assert {("worker", "SIGSEGV"), ("admin_server", "timeout"), ("job_runner", "exit 1")} <= set(USUAL["exits"])


def test_reasons_are_those_that_the_hub_names() -> None:
    """All of them, and no others."""
    text = inspect.getdoc(Hub.client_left) or ""
    assert all(f"`{reason}`" in text for reason in DISCONNECTIONS)
    assert text.count("`") == 2 * len(DISCONNECTIONS) + 2, "the name of the argument, and the reasons"


def test_statuses_are_those_of_jobs() -> None:
    """The order that lists of them have."""
    assert JOB_OPEN == (states.PENDING, states.RUNNING)
    assert JOB_ENDED == (states.COMPLETED, states.FAILED, states.CANCELLED)
