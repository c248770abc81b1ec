"""Own metrics whose names are taken."""

from dataclasses import replace

from prometheus_client import CollectorRegistry

from hvd.core.own.definition import Definition
from hvd.export import notation
from hvd.export.clashes import Clashes, names_of, names_of_all
from hvd.metrics.table import METRICS
from tests.unit.figures import make_figures, make_totals
from tests.unit.own_figures import make_family, make_own, random_metrics


def test_names_are_those_of_the_official_librarys_registries() -> None:
    """So what one registry refuses is not shown when two processes have it."""
    both = random_metrics(3)
    for family, collector in zip(both.families, both.registry._collector_to_names, strict=True):
        assert names_of(family.definition.name, family.definition.kind) == set(
            CollectorRegistry()._get_names(collector)
        )


def test_hvds_metrics_are_named_with_their_suffix() -> None:
    """Each of their samples' names is taken, and that of the family in OpenMetrics."""
    names = names_of_all(METRICS)
    assert names >= {metric.name for metric in METRICS}
    assert {"hvd_http_requests", "hvd_build", "hvd_http_request_duration_seconds_bucket"} <= names
    assert "hvd_http_requests_total_total" not in names


def shown(*families: tuple[str, str], escaping: str = notation.ALLOW_UTF_8) -> tuple[list[str], list[str]]:
    """-> names that are shown, and those that are not."""
    own = make_own(*(make_family(Definition(name, kind, "H."), {(): 1}) for name, kind in families))
    figures = replace(make_figures(make_totals({})), own=own)
    families_shown, told = Clashes({"hvd_workers"}, escaping).visible_families(figures)
    return [family.definition.name for family in families_shown], list(told.hidden)


def test_the_first_has_the_name() -> None:
    """A gauge named as a counter's sample is hidden; what has other names is not."""
    families = ("a", "counter"), ("a_total", "gauge"), ("hvd_workers", "gauge"), ("b", "gauge"), ("b", "info")
    assert shown(*families) == (["a", "b"], ["a_total", "hvd_workers", "b"])
    assert shown(("x_info", "info"), ("x", "info")) == (["x_info"], ["x"])


def test_names_that_escaping_makes_the_same_clash() -> None:
    """In the scheme that does so, where the scrape would not be valid."""
    families = ("a.b", "gauge"), ("a_b", "gauge"), ("hvd.workers", "gauge")
    for escaping in notation.ESCAPINGS:
        assert shown(("hvd_workers", "gauge"), escaping=escaping)[1] == ["hvd_workers"]
    assert shown(*families)[1] == []
    assert shown(*families, escaping=notation.UNDERSCORES)[1] == ["a_b", "hvd.workers"]
    assert shown(*families, escaping=notation.DOTS)[1] == []


def test_what_was_found_is_found_anew_when_the_metrics_are_others() -> None:
    """A family whose last process is gone leaves its name to the next."""
    clashes, figures = Clashes(()), make_figures(make_totals({}))
    gauge, counter = (make_family(Definition("a", kind, "H."), {(): 1}) for kind in ("gauge", "counter"))
    for families, expected in (((gauge, counter), [gauge]), ((counter,), [counter]), ((gauge, counter), [gauge])):
        assert clashes.visible_families(replace(figures, own=make_own(*families)))[0] == expected
