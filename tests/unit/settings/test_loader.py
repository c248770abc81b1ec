"""Where values come from, and which wins; the file is read within bounds."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hvd.settings.loader import FILE_MAX, key_lines, load, load_or_exit, read_text
from hvd.settings.processors import usable_cores
from hvd.settings.table import SETTINGS
from tests.unit.settings.support import config, problems_of, value_of


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    settings, sources, file, _ = load({})
    assert (settings.bind, settings.worker_class, settings.threads) == ("127.0.0.1:8080", "gthread", 4)
    assert (settings.interval, settings.max_series, settings.slots) == (2.0, 2000, max(64, 8 * settings.workers))
    assert settings.workers == max(2, usable_cores())
    assert (settings.instance, settings.block_name) == ("127.0.0.1-8080", "hvd-127.0.0.1-8080")
    assert settings.state_dir == Path.cwd() / "var"
    assert settings.database_url == f"sqlite:///{settings.state_dir}/hvd.sqlite3"
    assert (settings.allowed_origins, settings.log_level, settings.max_clients) == ((), "info", 10_000)
    assert (settings.timeout, settings.graceful_timeout, settings.keepalive) == (30, 30, 15)
    assert (settings.max_requests, settings.max_requests_jitter) == (0, 0)
    assert (settings.ping_interval, settings.ping_timeout) == (20.0, 20.0)
    assert (settings.token, settings.job_kinds) == ("", {})
    assert settings.jobs_concurrency == usable_cores()
    assert (settings.jobs_queue_limit, settings.jobs_grace, settings.jobs_lease) == (10_000, 5.0, 15.0)
    assert (settings.jobs_keep_days, settings.jobs_output_limit) == (30, 10 * 2**20)
    assert set(sources) == set(SETTINGS)
    assert set(sources.values()) == {"default"}
    assert file == ""


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_a_blank_variable_counts_as_unset(text: str) -> None:
    """An EnvironmentFile with `HVD_WORKERS=` means the default. Blanks come from files that people edit."""
    loaded = load({"HVD_THREADS": text, "HVD_CONFIG": text, "STATE_DIRECTORY": text.strip()})
    assert loaded.settings.threads == 4
    assert loaded.sources["threads"] == "default"
    assert value_of("workers", f"{text}3{text}") == 3


def test_state_dir_comes_from_systemd_unless_set(tmp_path: Path) -> None:
    """File and variable are closer to the daemon than the unit; of several folders the first counts."""
    environ = {"STATE_DIRECTORY": "/var/lib/hvd:/var/lib/other"}
    loaded = load(environ)
    assert (loaded.settings.state_dir, loaded.sources["state_dir"]) == (Path("/var/lib/hvd"), "STATE_DIRECTORY")
    assert loaded.settings.database_url == "sqlite:////var/lib/hvd/hvd.sqlite3"
    in_file = {**environ, **config(tmp_path, 'state_dir = "/srv"')}
    assert load(in_file).settings.state_dir == Path("/srv")
    assert load({**in_file, "HVD_STATE_DIR": "/opt"}).settings.state_dir == Path("/opt")
    assert problems_of({"HVD_STATE_DIR": "/a\x07"}) == ('state_dir (HVD_STATE_DIR) is "/a\\u0007": it must be a path',)


def test_platforms_say_port_and_workers_as_they_do_to_gunicorn(tmp_path: Path) -> None:
    """PORT is served on all addresses; a file and hvd's own variables are closer to the daemon."""
    environ = {"PORT": "5000", "WEB_CONCURRENCY": "3"}
    loaded = load(environ)
    assert (loaded.settings.bind, loaded.settings.workers) == ("0.0.0.0:5000", 3)
    assert loaded.settings.instance == "0.0.0.0-5000"
    assert (loaded.sources["bind"], loaded.sources["workers"]) == ("PORT", "WEB_CONCURRENCY")
    in_file = {**environ, **config(tmp_path, 'bind = "127.0.0.1:1"\nworkers = 4\n')}
    assert (load(in_file).settings.bind, load(in_file).settings.workers) == ("127.0.0.1:1", 4)
    own = load({**in_file, "HVD_BIND": "127.0.0.1:2", "HVD_WORKERS": "5"}).settings
    assert (own.bind, own.workers) == ("127.0.0.1:2", 5)
    assert load({"PORT": " ", "WEB_CONCURRENCY": ""}).sources["bind"] == "default"
    odd = {"PORT": "http", "WEB_CONCURRENCY": "many"}
    assert len(problems_of(odd)) == 2
    assert load({**odd, "HVD_BIND": "127.0.0.1:2", "HVD_WORKERS": "5"}).settings.workers == 5, "nobody reads them"


@pytest.mark.parametrize("depth", [100, 490, 5000])
@pytest.mark.parametrize("opening", ["workers = {}", "jobs = {}", "jobs.kinds = {}"])
def test_a_file_that_is_nested_deeply_is_one_problem_among_others(tmp_path: Path, opening: str, depth: int) -> None:
    """Whether the parser gives up, or whoever looks at the value."""
    environ = config(tmp_path, opening.format("[" * depth + "]" * depth) + "\n")
    assert len(problems_of({**environ, "HVD_THREADS": "0"})) == 2


def test_variables_override_the_file_and_sources_tell(tmp_path: Path) -> None:
    """Each setting says where it comes from."""
    environ = config(tmp_path, "workers = 3\nthreads = 5\n")
    settings, sources, file, _ = load({**environ, "HVD_THREADS": "6"})
    assert (settings.workers, settings.threads) == (3, 6)
    assert (sources["workers"], sources["threads"], sources["bind"]) == ("hvd.toml", "HVD_THREADS", "default")
    assert file == environ["HVD_CONFIG"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"workers = 1\nworkers 2\n", "line 2"), (b"\xff", "decode"), (None, "No such file"), ("folder", "directory")],
)
def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, content: bytes | str | None, reason: str) -> None:
    """Missing, not TOML, not text, not a file."""
    path = tmp_path / "hvd.toml"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        path.mkdir()
    (problem,) = problems_of({"HVD_CONFIG": str(path)})
    assert problem.startswith(f"HVD_CONFIG is '{path}', which can't be read (")
    assert reason in problem


def test_load_or_exit_ends_the_program_with_2_and_without_traceback() -> None:
    """Under one heading line, on stderr, in a real process."""
    done = subprocess.run(
        [sys.executable, "-c", "from hvd.settings.loader import load_or_exit; load_or_exit(); print('went on')"],
        env={"HVD_WORKERS": "x", "HVD_THREADS": "x"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    heading, *problems = done.stderr.splitlines()
    assert heading == "hvd: 2 problems in the settings:"
    assert [line[:10] for line in problems] == ["  threads ", "  workers "]
    assert load_or_exit({"HVD_WORKERS": "7"}).workers == 7, "good ones are returned"


def test_the_jobs_have_a_table(tmp_path: Path) -> None:
    """Its keys are those of the settings without jobs_; variables override them."""
    environ = config(tmp_path, "workers = 3\n[jobs]\nqueue_limit = 5\ngrace = 1\n")
    settings, sources, _, _ = load({**environ, "HVD_JOBS_GRACE": "2.5", "HVD_JOBS_LEASE": "30"})
    assert (settings.jobs_queue_limit, settings.jobs_grace, settings.jobs_lease) == (5, 2.5, 30.0)
    assert sources["jobs_queue_limit"] == "hvd.toml"
    assert (sources["jobs_grace"], sources["jobs_concurrency"]) == ("HVD_JOBS_GRACE", "default")


@pytest.mark.parametrize("text", ["jobs = 3", "jobs = []", "[[jobs]]\ngrace = 1", "jobs = 'x'"])
def test_the_table_of_the_jobs_is_a_table(tmp_path: Path, text: str) -> None:
    """And nothing else."""
    environ = config(tmp_path, text)
    assert problems_of(environ) == (f"jobs ({environ['HVD_CONFIG']}:1) is no table: write [jobs] above its keys",)


def test_kinds_of_job_come_from_the_file(tmp_path: Path) -> None:
    """As the example of docs/jobs.md has it."""
    text = '[jobs.kinds.checksum]\ncommand = ["sha256sum", "{file}"]\n'
    text += 'params = { file = { type = "path", roots = ["/srv/images"] } }\n'
    settings = load(config(tmp_path, text)).settings
    assert list(settings.job_kinds) == ["checksum"]
    assert settings.job_kinds["checksum"].command == ("sha256sum", "{file}")
    assert hash(settings) == hash(load(config(tmp_path, text)).settings)
    assert settings == load(config(tmp_path, text)).settings
    assert settings != load(config(tmp_path, text.replace("srv", "opt"))).settings


def test_what_is_wrong_with_kinds_is_told_with_the_line(tmp_path: Path) -> None:
    """Of the key, or of the table around it; beside all else that is wrong."""
    environ = config(
        tmp_path,
        'workers = 0\n\n[jobs.kinds.a]\ncommand = ["x", "{f}", "{g}"]\n'
        'params = { f = { type = "path", roots = [] }, g = { type = "int", min = 0 } }\n'
        '\n[jobs.kinds.b]\n\n[jobs.kinds.b.params.n]\ntype = "nothing"\n[jobs.kinds."a b"]\ncommand = ["x"]\n',
    )
    file = environ["HVD_CONFIG"]
    assert problems_of(environ) == (
        f"workers ({file}:1) is 0: it must be a whole number from 1 to 1024",
        f"jobs.kinds.a.params.f.roots ({file}:5) is []: it must be a list of 1 to 100 folders",
        f"jobs.kinds.a.params.g.max ({file}:5) is missing: it must be a whole number of 64 bits",
        f"jobs.kinds.b.command ({file}:7) is missing: it must be a list of 1 to 1000 texts, the program first",
        f'jobs.kinds.b.params.n.type ({file}:10) is "nothing": it must be one of choice, int, string, path',
        f'jobs.kinds."a b" ({file}:11) is no name of a kind of job: it must be a lower-case letter, then at most 31 of'
        " a-z 0-9 _ -",
    )


def test_a_state_dir_that_can_hold_no_database_is_told() -> None:
    """SQLAlchemy would cut the path at the question mark."""
    assert load({"HVD_STATE_DIR": "/a b"}).settings.database_url == "sqlite:////a b/hvd.sqlite3"
    (problem,) = problems_of({"HVD_STATE_DIR": "/a?b"})
    assert problem.startswith(
        'database_url would be "sqlite:////a?b/hvd.sqlite3", which is not allowed: set it to sqlite'
    )
    assert value_of("database_url", "sqlite:////x", HVD_STATE_DIR="/a?b") == "sqlite:////x"


def test_a_file_is_read_up_to_its_bound(tmp_path: Path) -> None:
    """The bound belongs to it."""
    path = tmp_path / "hvd.toml"
    path.write_text("#" * FILE_MAX)
    assert len(read_text(str(path))) == FILE_MAX
    path.write_text("#" * (FILE_MAX + 1))
    with pytest.raises(ValueError, match="larger than"):
        read_text(str(path))


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO that nobody writes and a device would be read for ever."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ValueError, match="no regular file"):
            read_text(str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for odd in (tmp_path / "socket", tmp_path, tmp_path / "none"):
            with pytest.raises(OSError, match=r"directory|No such device"):
                read_text(str(odd))


def test_the_lines_of_keys_are_found() -> None:
    """Of tables, of dotted and quoted keys; the first line counts, and what is no key is passed over."""
    text = """# a = 1
a = 1
  b . "c d" = 2 # e = 3

[t.u]
x = { y = 1 }
# z = 1
'q' = [
  "r = 1",
]
[[v]]
w=1
[ t . "s" ]
x = 2
[v]
w = 3
"""
    assert key_lines(text) == {
        ("a",): 2,
        ("b", "c d"): 3,
        ("t", "u"): 5,
        ("t", "u", "x"): 6,
        ("t", "u", "q"): 8,
        ("v",): 11,
        ("v", "w"): 12,
        ("t", "s"): 13,
        ("t", "s", "x"): 14,
    }


@pytest.mark.parametrize(
    "line", ["", "=", "[", "[]", '"', "a", "a b = 1", '"a = 1', "\x00", "[" * 1000, '."' * 1000, "a." * 5000]
)
def test_a_line_that_is_no_key_has_none(line: str) -> None:
    """At once, however long it is."""
    assert key_lines(line) == {}
