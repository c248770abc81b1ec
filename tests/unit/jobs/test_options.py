"""What the runner is told; the memory file in between: tests/unit/companion/test_options.py."""

from dataclasses import replace

from hvd.jobs.options import RunnerOptions
from hvd.settings.job_declarations import read_kinds
from hvd.settings.loader import load

KINDS = {
    "plain": {"command": ["true"]},
    "full": {
        "command": ["convert", "-f", "{format}", "--", "{source}", "{note}", "{count}"],
        "params": {
            "format": {"type": "choice", "choices": ["raw", "qcow2"], "default": "raw"},
            "source": {"type": "path", "roots": ["/etc", "/srv/ü"]},
            "note": {"type": "string", "pattern": "[a-z]*", "default": ""},
            "count": {"type": "int", "min": 1, "max": 9},
        },
        "progress": r"\((?P<percent>[0-9.]+)/100%\)",
        "timeout": 7,
        "concurrency": 3,
        "retries": 2,
        "backoff": 0.5,
        "env": {"PASSWORD": "gruß"},
        "cwd": "/",
    },
}


def made(**changes: object) -> RunnerOptions:
    kinds, faults = read_kinds(KINDS)
    assert not faults
    plain = RunnerOptions("info", "sqlite:////var/jobs", "/var", "one", 4, 2.5, 15.0, 7.0, kinds, 2**20)
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_what_is_written_is_read() -> None:
    """All of it, each kind with all that it declares."""
    assert RunnerOptions.from_json(made().to_json()) == made()
    assert RunnerOptions.from_json(made(kinds={}).to_json()) == made(kinds={})


def test_a_kind_read_makes_the_same_command() -> None:
    """Numbers, patterns and defaults are as before."""
    kind = RunnerOptions.from_json(made().to_json()).kinds["full"]
    params, _ = kind.check({"source": "/etc/passwd", "count": 3})
    assert kind.argv(params) == ["convert", "-f", "raw", "--", "/etc/passwd", "", "3"]
    assert [problem.pointer for problem in kind.check({"source": "/srv/x", "count": 10})[1]] == ["/source", "/count"]


def test_each_running_job_needs_descriptors() -> None:
    """A reload may allow more jobs."""
    assert made(concurrency=5).descriptors - made(concurrency=4).descriptors == 4


def test_they_are_of_the_settings() -> None:
    """Each from the setting that it is named after."""
    settings = load(
        {
            "HVD_INSTANCE": "one",
            "HVD_DATABASE_URL": "sqlite:////tmp/x.db",
            "HVD_STATE_DIR": "/tmp/y",
            "HVD_JOBS_CONCURRENCY": "3",
            "HVD_JOBS_GRACE": "4",
            "HVD_JOBS_LEASE": "50",
            "HVD_JOBS_KEEP_DAYS": "6",
            "HVD_JOBS_OUTPUT_LIMIT": "1048576",
        }
    ).settings
    assert RunnerOptions.of(settings, "debug") == RunnerOptions(
        *("debug", "sqlite:////tmp/x.db", "/tmp/y", "one"), 3, 4.0, 50.0, 6.0, {}, 2**20
    )
