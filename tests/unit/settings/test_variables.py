"""Which variables are hvd's."""

import subprocess
import sys

import pytest

from hvd.settings.loader import load
from hvd.settings.variables import environment, for_companions, inherited, set_here, take_out
from tests.unit.settings.support import problems_of

FOREIGN = {
    "HVD_BUILD_EXTENSION": "x",  # for setup.py, which an image may keep
    "HVD_JOB": "x",  # for the programs of jobs
    "HVD_PORT": "tcp://10.96.0.10:8080",
    "HVD_SERVICE_HOST": "10.96.0.10",
    "HVD_SERVICE_PORT": "8080",
    "HVD_SERVICE_PORT_HTTP_2": "8080",
    "HVD_PORT_8080_TCP": "tcp://[fd00::10]:8080",
    "HVD_PORT_8080_TCP_PROTO": "tcp",
    "HVD_PORT_8080_TCP_PORT": "8080",
    "HVD_PORT_8080_TCP_ADDR": "10.96.0.10",
    "HVD_PORT_53_UDP": "udp://10.96.0.10:53",
    "HVD_ADMIN_SERVICE_HOST": "10.96.0.11",
    "HVD_ADMIN_SERVICE_PORT": "80",
    "HVD_JOBS_2_PORT_80_TCP_ADDR": "10.96.0.11",
    "HVD_NAME": "/web/hvd",
    "HVD_ENV_PATH": "/usr/bin",
    "HVD_ENV_APP_NAME": "/x",
    "HVD_1_PORT_8080_TCP_START": "tcp://172.17.0.5:8080",
}


@pytest.mark.parametrize("name", FOREIGN)
def test_variables_for_other_programs_are_no_mistake(name: str) -> None:
    """Kubernetes and Docker tell of a service named hvd in every pod of the namespace, every linked container."""
    assert load({"HVD_PORT": FOREIGN["HVD_PORT"], name: FOREIGN[name]}) == load({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("HVD_PORT", "8080"), ("HVD_NAME", "web"), ("HVD_SERVICE_PORT", "http"), ("HVD_PORTS", "tcp://a:1")),
        *(("HVD_ENV", ""), ("HVD_ENV_FOO", "1"), ("HVD_NAME", "/x"), ("HVD_STATE_NAME", "/var")),
        *(("HVD_PORT_80_TCP_FOO", "1"), ("HVD_PORT_80_TCP_PORT", "http"), ("HVD_SERVICE_HOST", "")),
    ],
)
def test_what_only_looks_like_a_service_is_a_mistake(name: str, value: str) -> None:
    """A person wrote it, who believes that hvd reads it."""
    assert "is no variable of hvd" in problems_of({name: value})[0]


def test_a_job_inherits_no_variable_of_hvd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is among them."""
    monkeypatch.setenv("HVD_TOKEN", "geheim")
    monkeypatch.setenv("LC_ALL", "C")
    assert environment()["HVD_TOKEN"] == "geheim"
    assert inherited()["LC_ALL"] == "C"
    assert "geheim" not in inherited().values()


def test_companions_have_no_secret_and_nothing_that_is_the_masters_alone() -> None:
    """What libraries, programs and people need stays; so do libpq's variables, and the name of the instance."""
    kept = {
        *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH", "XDG_RUNTIME_DIR"),
        *(
            "RUNTIME_DIRECTORY",
            "STATE_DIRECTORY",
            "PGPASSWORD",
            "PGPASSFILE",
            "HVD_INSTANCE",
            "KEYBOARD",
            "JOURNAL_STREAM",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
            "OTEL_PYTHON_LOG_LEVEL",
        ),
    }
    gone = {
        *("HVD_TOKEN", "HVD_DATABASE_URL", "HVD_CONFIG", "HVD_BIND", "_HVD_PASSED", "NOTIFY_SOCKET", "WATCHDOG_USEC"),
        *("CREDENTIALS_DIRECTORY", "LISTEN_FDS", "GUNICORN_FD", "GUNICORN_CMD_ARGS", "SECRET_KEY", "DJANGO_SECRET"),
        *(
            "AWS_SECRET_ACCESS_KEY",
            "github_token",
            "DB_PASSWORD",
            "MYSQL_PASSWD",
            "DATABASE_URL",
            "SENTRY_DSN",
            "API_KEY",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
        ),
    }
    assert set(for_companions(dict.fromkeys(kept | gone, "x"))) == kept
    addresses = {"CELERY_BROKER": "amqp://shop:geheim@mq/", "PAGE": "http://x.example/a:b@c", "QUEUE": "redis://:x@q"}
    assert set(for_companions(addresses)) == {"PAGE"}


def test_what_is_taken_out_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what is set."""
    monkeypatch.setenv("HVD_TEST_TAKEN", "x")
    assert take_out(["HVD_TEST_TAKEN", "HVD_TEST_NONE"]) == {"HVD_TEST_TAKEN": "x"}
    assert "HVD_TEST_TAKEN" not in environment()


def test_a_variable_can_be_set_for_this_process_alone() -> None:
    """Programs that it executes don't inherit it."""
    set_here("HVDS_OWN_TEST", "x")
    try:
        assert environment()["HVDS_OWN_TEST"] == "x"
        show = "import os; print(os.environ.get('HVDS_OWN_TEST'))"
        assert subprocess.check_output([sys.executable, "-c", show]) == b"None\n"
    finally:
        assert take_out(["HVDS_OWN_TEST"])
