"""What is wrong with the settings: contradictions, what may have been meant, and all of it at once."""

import time
from pathlib import Path

import pytest

from hvd.errors import SettingsError
from hvd.settings.complaints import complaint
from hvd.settings.loader import load
from tests.support.waiting import PATIENCE
from tests.unit.settings.support import config, problems_of, value_of


@pytest.mark.parametrize(
    ("environ", "start"),
    [
        ({"HVD_WORKER_CLASS": "sync", "HVD_THREADS": "2"}, "threads (HVD_THREADS) is 2: worker_class sync "),
        ({"HVD_WORKERS": "10", "HVD_SLOTS": "13"}, "slots (HVD_SLOTS) is 13: 10 workers need at least 14"),
        ({"HVD_MAX_REQUESTS_JITTER": "5"}, "max_requests_jitter (HVD_MAX_REQUESTS_JITTER) is 5: "),
        ({"HVD_BIND": "a:0"}, 'bind (HVD_BIND) is "a:0": port 0 is another port at each start; set instance'),
        (
            {"HVD_BIND": "a:1", "HVD_ADMIN_BIND": "a:1"},
            'admin_bind (HVD_ADMIN_BIND) is "a:1", as is bind: the admin server needs an address of its own',
        ),
        ({"HVD_WORKERS": "0", "HVD_SLOTS": "2"}, "workers ("),  # with what is refused anyway nothing contradicts
    ],
)
def test_values_that_contradict_each_other_are_refused(environ: dict[str, str], start: str) -> None:
    """By one complaint, which names the values."""
    (problem,) = problems_of(environ)
    assert problem.startswith(start)


def test_values_that_fit_each_other_are_taken() -> None:
    """A default follows silently."""
    assert load({"HVD_WORKER_CLASS": "sync"}).settings.threads == 1
    assert value_of("threads", "1", HVD_WORKER_CLASS="sync") == 1
    assert value_of("slots", "14", HVD_WORKERS="10") == 14
    assert value_of("bind", "127.0.0.1:0", HVD_INSTANCE="test") == "127.0.0.1:0"


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Each with key, place, value, and what would be right."""
    environ = config(tmp_path, '# workers\nworkers = 0\n\n["wrkers"]\n[interval]\nx = 1\n')
    file = environ["HVD_CONFIG"]
    environ |= {"HVD_THREADS": "999", "HVD_WROKERS": "1", "HVD_TOTALLY_ELSE": "", "HVD_LOG_LEVEL": "x", "HOME": "/"}
    assert problems_of(environ) == (
        f"workers ({file}:2) is 0: it must be a whole number from 1 to 1024",
        f"wrkers ({file}:4) is no setting; did you mean workers?",
        f"interval ({file}:5) is a table: it must be a number of seconds from 0.1 to 60",
        'log_level (HVD_LOG_LEVEL) is "x": it must be one of debug, info, warning, error, critical',
        'threads (HVD_THREADS) is "999": it must be a whole number from 1 to 256',
        '"HVD_TOTALLY_ELSE" is no variable of hvd',
        '"HVD_WROKERS" is no variable of hvd; did you mean HVD_WORKERS?',
    )


@pytest.mark.parametrize(
    ("name", "meant"),
    [("HVD_FOO", ""), ("HVD_SLOT", "HVD_SLOTS"), ("HVD_CONFG", "HVD_CONFIG"), ("HVD_TIME_OUT", "HVD_TIMEOUT")],
)
def test_a_variable_is_suggested_only_if_it_is_like_the_unknown_one(name: str, meant: str) -> None:
    """What all variables begin with says nothing."""
    (problem,) = problems_of({name: "1"})
    assert problem == f'"{name}" is no variable of hvd' + (f"; did you mean {meant}?" if meant else "")


def test_wrong_keys_of_the_jobs_are_told_with_what_may_be_meant(tmp_path: Path) -> None:
    """Misspelt, misplaced in the table or outside of it."""
    environ = config(
        tmp_path,
        "jobs_grace = 1\nqueue_limit = 2\n[kinds]\n[jobs]\ngrace = 0\nqueue_limt = 1\nthreads = 4\nfoo = 1\n"
        "jobs_lease = 1\n[jobs.checksum]\ncommand = []\n[jobs.knds]\n",
    )
    file = environ["HVD_CONFIG"]
    assert problems_of({**environ, "HVD_JOBS_GRACE": "0"}) == (
        f"jobs_grace ({file}:1) is no setting; did you mean jobs.grace?",
        f"queue_limit ({file}:2) is no setting; did you mean jobs.queue_limit?",
        f"kinds ({file}:3) is no setting; did you mean jobs.kinds?",
        f"jobs.grace ({file}:5) is 0: it must be a number of seconds from 0.1 to 3600",
        f"jobs.queue_limt ({file}:6) is no setting; did you mean jobs.queue_limit?",
        f"jobs.threads ({file}:7) is no setting; did you mean threads, above the first [table]?",
        f"jobs.foo ({file}:8) is no setting",
        f"jobs.jobs_lease ({file}:9) is no setting; did you mean jobs.lease?",
        f"jobs.checksum ({file}:10) is no setting; did you mean jobs.kinds.checksum?",
        f"jobs.knds ({file}:12) is no setting; did you mean jobs.kinds?",
        'jobs.grace (HVD_JOBS_GRACE) is "0": it must be a number of seconds from 0.1 to 3600',
    )


def test_passwords_are_not_shown() -> None:
    """Not in a complaint either."""
    assert "geheim" not in problems_of({"HVD_DATABASE_URL": "1://u:geheim@h"})[0]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(f"workes{n} = 1" for n in range(20_000)),
        "[jobs]\n" + "\n".join(f"grce{n} = 1" for n in range(20_000)),
        "[jobs.kinds.a]\n" + "\n".join(f"comand{n} = 1" for n in range(20_000)),
        "\n".join(f"[jobs.kinds.A{n}]\ncomand = 1" for n in range(8_000)),
        "[jobs.kinds.a]\ncommand = ['x']\n[jobs.kinds.a.params]\n" + "\n".join(f"x{n} = 1" for n in range(20_000)),
    ],
    ids=["keys", "jobs", "kind", "kinds", "params"],
)
def test_a_file_full_of_mistakes_is_refused_soon(tmp_path: Path, text: str) -> None:
    """The first ones are told; to look for what each of 100,000 may have meant took minutes."""
    environ = config(tmp_path, text)
    start = time.process_time()
    with pytest.raises(SettingsError) as caught:
        load(environ)
    assert time.process_time() - start < 2 * PATIENCE
    lines = complaint(caught.value).splitlines()
    assert 50 < len(lines) < 60
    assert lines[-1] == f"  and {caught.value.unlisted} more"


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 5000 + "]" * 5000, "interval = {" + "a." * 900 + "a = 1}", "workers = 0x" + "f" * 100_000]
)
def test_odd_values_end_in_a_complaint(tmp_path: Path, text: str) -> None:
    """Nested deeper than Python goes, longer than it writes: a reload reads such a file in the master."""
    (problem,) = problems_of(config(tmp_path, text))
    assert len(problem) < 1000


def test_a_complaint_quotes_little_of_a_long_value(tmp_path: Path) -> None:
    """A whole file in a variable must not become a line of the log."""
    long = "x" * 100_000
    environ = {"HVD_BIND": long, "HVD_WORKERS": long, f"HVD_{long}": "1", "HVD_ALLOWED_ORIGINS": f"{long},{long}"}
    file = config(
        tmp_path, f"{long} = 1\nthreads = '{long}'\n[jobs.kinds.{long}]\ncommand = ['{long}']\nprogress = ''\n"
    )
    problems = [*problems_of({**environ, **file}), *problems_of({"HVD_CONFIG": f"/{long}"})]
    assert len(problems) >= 8
    assert max(map(len, problems)) < 1000
