"""What OpenTelemetry's own variables make of the settings for OTLP."""

from pathlib import Path

import pytest

from hvd.settings import complaints, otlp
from hvd.settings.loader import load
from hvd.settings.otlp import is_installed, pairs_of
from hvd.settings.table import Settings
from tests.unit.settings.support import config, problems_of

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def settings_of(**environ: str) -> Settings:
    return load(environ).settings


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({ENDPOINT: "http://h:4318"}, "http://h:4318/v1/metrics"),
        ({ENDPOINT: "http://h:4318/otlp/"}, "http://h:4318/otlp/v1/metrics"),
        # the specification: that for metrics is used as it is, and its path is then the root
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h:4318"}, "http://h:4318/"),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://h/m", ENDPOINT: "http://other"}, "http://h/m"),
        ({ENDPOINT: "http://h:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http://h:4317"),
        ({ENDPOINT: "h:4317", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": "GRPC"}, "https://h:4317"),
        (
            {ENDPOINT: "h:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
            "http://h:1",
        ),
        ({ENDPOINT: " "}, ""),
        ({ENDPOINT: "http://h", "OTEL_SDK_DISABLED": "True"}, ""),
        ({ENDPOINT: "http://h", "OTEL_METRICS_EXPORTER": "none"}, ""),
        ({ENDPOINT: "http://h", "OTEL_METRICS_EXPORTER": "prometheus,otlp"}, "http://h/v1/metrics"),
        ({ENDPOINT: "http://h", "HVD_OTLP_ENDPOINT": "http://own:1"}, "http://own:1"),
    ],
)
def test_the_endpoint_is_that_of_the_variables(environ: dict[str, str], endpoint: str) -> None:
    """As the specification has it; hvd's own setting comes first."""
    assert settings_of(**environ).otlp_endpoint == endpoint


def test_all_else_is_that_of_the_variables_too() -> None:
    """Those for metrics before those for all signals; values of pairs are percent-encoded."""
    environ = {
        ENDPOINT: "http://h",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,a=b",
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2500",
        "OTEL_METRIC_EXPORT_INTERVAL": "15000",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test%2C1,nonsense,service.name=other",
        "OTEL_SERVICE_NAME": "shop",
    }
    settings = settings_of(**environ)
    assert settings.otlp_headers == ("authorization=Bearer x", "a=b")
    assert (settings.otlp_compression, settings.otlp_timeout, settings.otlp_interval) == ("gzip", 2.5, 15.0)
    assert pairs_of(settings.otlp_attributes) == {"deployment.environment.name": "test,1", "service.name": "shop"}
    assert settings_of(**{**environ, "OTEL_EXPORTER_OTLP_TIMEOUT": "7"}).otlp_timeout == 7.0, "as Python's library"
    settings = settings_of(**environ, HVD_OTLP_ATTRIBUTES="service.name=mine", HVD_OTLP_INTERVAL="5")
    assert settings.otlp_interval == 5.0
    assert pairs_of(settings.otlp_attributes) == {"deployment.environment.name": "test,1", "service.name": "mine"}


def test_variables_without_an_endpoint_are_not_looked_at() -> None:
    """They may be for other programs."""
    environ = {"OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
    assert settings_of(**environ) == settings_of()


def test_variables_that_hvd_cannot_take_end_no_start() -> None:
    """They may be right for other programs: metrics are not sent, and it is told why. With an endpoint of hvd's own
    the others count.
    """
    environ = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "soon",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_HEADERS": "geheim",
    }
    trouble = (
        'OTEL_EXPORTER_OTLP_PROTOCOL is "http/json", and for hvd it must be one of http/protobuf, grpc; '
        "OTEL_EXPORTER_OTLP_HEADERS is ***, and for hvd it must be a list (in the variable: commas between) of "
        'NAME=VALUE; OTEL_EXPORTER_OTLP_TIMEOUT is "soon", and for hvd it must be a number of seconds from 0.1 to 600'
    )
    settings = settings_of(**environ, **{ENDPOINT: "http://h"})
    assert (settings.otlp_endpoint, settings.otlp_trouble) == ("", trouble)
    settings = settings_of(**environ, HVD_OTLP_ENDPOINT="http://own")
    assert (settings.otlp_endpoint, settings.otlp_trouble) == ("http://own", trouble)
    assert (settings.otlp_protocol, settings.otlp_timeout, settings.otlp_compression) == ("http/protobuf", 10.0, "gzip")
    assert settings_of(**{ENDPOINT: "nonsense"}).otlp_endpoint == ""


def test_headers_are_shown_to_nobody() -> None:
    """What is sent along is mostly a key."""
    assert "geheim" not in repr(settings_of(HVD_OTLP_HEADERS="api-key=geheim"))
    (problem,) = problems_of({"HVD_OTLP_HEADERS": "api-key:geheim"})
    assert "geheim" not in problem


def test_a_receiver_without_the_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for a variable of OpenTelemetry's, which may be meant for others: a start must not fail for it."""
    monkeypatch.setattr(otlp, "distribution", lambda name: None)
    assert is_installed("grpc")
    monkeypatch.setattr(otlp, "distribution", lambda name: (_ for _ in ()).throw(otlp.PackageNotFoundError(name)))
    assert not is_installed("http/protobuf")
    monkeypatch.setattr(complaints, "is_installed", is_installed)
    (problem,) = problems_of(config(tmp_path, "[otlp]\nendpoint = 'http://h'"))
    assert problem.endswith("what sends to it isn't installed; pip install 'hvd[otlp]'")
    assert settings_of(**{ENDPOINT: "http://h"}).otlp_endpoint == "http://h/v1/metrics"
