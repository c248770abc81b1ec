"""The environment: which variables hvd has, and which a job gets to see."""

import re
from collections.abc import Mapping

from hvd.settings.environ import environment as environment
from hvd.settings.environ import set_here as set_here
from hvd.settings.environ import take_out as take_out
from hvd.settings.table import SETTINGS, variable

PREFIX = "HVD_"
CONFIG = "HVD_CONFIG"
"""The variable that names the file of settings."""
CA_FILE = "HVD_CA_FILE"
"""The variable that names the file of authorities by which the command knows a daemon behind TLS."""

KEYS = {variable(key): key for key in SETTINGS}
"""The key of the setting that each variable overrides."""

_OTHERS = {
    CONFIG,
    CA_FILE,
    "HVD_BUILD_EXTENSION",  # of setup.py: an image may keep it
    *("HVD_JOB", "HVD_ATTEMPT", "HVD_RUNNER"),  # for the programs that hvd runs as jobs
}

_SERVICE = re.compile(
    r"(HVD(_[A-Z0-9_]+)?)_(PORT(_\d+_(TCP|UDP|SCTP)(_(START|END))?)?=(tcp|udp|sctp)://.*"
    r"|PORT_\d+_(TCP|UDP|SCTP)(_PORT(_START|_END)?=\d+|_PROTO=(tcp|udp|sctp)|_ADDR=.+)"
    r"|SERVICE_HOST=.+|SERVICE_PORT(_[A-Z0-9_]+)?=\d+)"
)
"""What Kubernetes (services, "environment variables") and Docker (legacy container links) set in every process of a
service named hvd, or hvd-something: no settings, and no mistakes."""

_LINK = re.compile(r"(HVD(_[A-Z0-9_]+?)??)_(NAME=/.*|ENV_.*)", re.DOTALL)
"""What Docker sets besides for a container that is linked, beside its HVD_PORT."""

_INHERITED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR"}


_MASTERS = re.compile(
    r"(NOTIFY|WATCHDOG|LISTEN|GUNICORN)_\w+|_HVD_\w+|CREDENTIALS_DIRECTORY"
    r"|(?!PG)\w*(TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_KEY|DATABASE_URL|_DSN|_KEY\Z|_PWD\Z)\w*",
    re.IGNORECASE,
)
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#\s]*:[^/?#\s]*@", re.IGNORECASE)
"""What a master doesn't pass on to what it executes: what is meant for its process alone, and what by its name is a
secret; so is an address that has a password. libpq's variables stay, as the database of the jobs may need them."""

_EXPORTERS = re.compile(r"OTEL_EXPORTER_OTLP_(?!(METRICS_)?(CERTIFICATE|CLIENT_KEY|CLIENT_CERTIFICATE)\Z)\w+")
"""Variables that the exporter gets by its options, and that may be secret; it reads itself which files TLS needs."""
_FILES = re.compile(r"OTEL_EXPORTER_OTLP_\w*CLIENT_KEY")

_INSTANCE = variable("instance")
"""The one variable of hvd that companions have: by it people, and hvd's tests, see which daemon a process is of."""


def inherited(environ: Mapping[str, str] = environment()) -> dict[str, str]:
    """What a job gets to see of hvd's own environment: how to find programs and to talk to people, and no secret."""
    return {name: text for name, text in environ.items() if name in _INHERITED or name.startswith("LC_")}


def for_companions(environ: Mapping[str, str]) -> dict[str, str]:
    """What companions, and the guard of jobs, have of the master's environment: they are told their options otherwise
    (hvd/companion/options.py), and any process of the daemon's user, as its jobs, can read a process's environment.
    """
    return {
        name: text
        for name, text in environ.items()
        if name == _INSTANCE
        or _FILES.fullmatch(name)
        or not (
            name.startswith(PREFIX)
            or _MASTERS.fullmatch(name)
            or _EXPORTERS.fullmatch(name)
            or _PASSWORD_IN_URL.search(text)
        )
    }


def is_mistake(name: str, environ: Mapping[str, str]) -> bool:
    """True for a variable that looks like hvd's and is none, nor one of a service that is named like hvd."""
    if not name.startswith(PREFIX) or name in KEYS or name in _OTHERS or _is_of_a_service(name, environ):
        return False
    link = _LINK.fullmatch(f"{name}={environ[name].strip()}")
    return not (link and _is_of_a_service(f"{link[1]}_PORT", environ))


def _is_of_a_service(name: str, environ: Mapping[str, str]) -> bool:
    return _SERVICE.fullmatch(f"{name}={environ.get(name, '').strip()}") is not None
