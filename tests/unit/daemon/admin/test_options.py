"""What the admin server is told."""

from dataclasses import replace
from pathlib import Path

from hvd.daemon.admin.options import CONNECTIONS, THREADS, AdminOptions
from hvd.settings.loader import load
from hvd.settings.tokens import Scope, Token
from tests.unit.jobs.support import kinds

SETTINGS = replace(
    load({"HVD_WORKER_CLASS": "sync", "HVD_TOKEN": "x" * 20}).settings,
    job_kinds=kinds(),
    allowed_origins=("https://a.example", "https://b.example"),
    state_dir=Path("/var/lib/hvd"),
    tokens=(Token("a", Scope.JOBS, "0" * 64, "2026-01-23T20:30:00Z"), Token("b", Scope.READ, "1" * 64)),
)


def test_what_was_written_is_read() -> None:
    """Every setting, in the type that it has."""
    options = AdminOptions.of(SETTINGS, "error", "127.0.0.1:1", 7.5)
    read = AdminOptions.from_json(options.to_json())
    assert read == options
    assert isinstance(read.settings.state_dir, Path)
    assert isinstance(read.settings.tokens_file, Path)
    assert read.settings.tokens[0].scope is Scope.JOBS
    assert read.settings.job_kinds.keys() == kinds().keys()


def test_the_daemon_s_settings_are_those_of_another_server_there() -> None:
    """Of its address, which decides who may change things, and of its threads; all else is the daemon's."""
    own = AdminOptions.of(SETTINGS, "error", "127.0.0.1:1", 7.5).settings
    assert (own.bind, own.admin_bind, own.threads, own.worker_class) == (
        "127.0.0.1:1",
        "127.0.0.1:1",
        THREADS,
        "gthread",
    )
    same = {"bind": own.bind, "admin_bind": own.admin_bind, "threads": THREADS, "worker_class": "gthread"}
    assert replace(SETTINGS, **same) == own


def test_it_may_open_what_its_connections_need() -> None:
    """And some more."""
    assert AdminOptions.of(SETTINGS, "error", "127.0.0.1:1", 7.5).descriptors > CONNECTIONS
