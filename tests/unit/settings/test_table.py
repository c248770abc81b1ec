"""Settings: bounds, sources, contradictions, and every problem told at once."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hvd.errors import SettingsError
from hvd.settings.processors import usable_cores
from hvd.settings.table import SETTINGS, complaint, load, load_or_exit, markdown_table, variable, written
from tests.support.waiting import PATIENCE


def value_of(key: str, text: str, **others: str) -> Any:
    """The value that a variable's text gives to a setting."""
    return getattr(load({variable(key): text, **others}).settings, key)


def problems_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What is wrong with that environment."""
    with pytest.raises(SettingsError) as caught:
        load(environ)
    return caught.value.problems


def config(tmp_path: Path, text: str) -> dict[str, str]:
    """An environment that names a file with that text."""
    path = tmp_path / "hvd.toml"
    path.write_text(text)
    return {"HVD_CONFIG": str(path)}


def test_an_empty_environment_gives_the_defaults() -> None:
    """Nothing has to be set."""
    settings, sources, file = load({})
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


BOUNDS: dict[str, tuple[float, float, dict[str, str]]] = {
    "workers": (1, 1024, {}),
    "threads": (1, 256, {}),
    "interval": (0.1, 60, {}),
    "max_series": (16, 100_000, {}),
    "slots": (5, 4096, {"HVD_WORKERS": "1"}),
    "timeout": (1, 86_400, {}),
    "graceful_timeout": (1, 86_400, {}),
    "keepalive": (0, 86_400, {}),
    "max_requests": (0, 10**9, {}),
    "max_requests_jitter": (0, 10**9, {"HVD_MAX_REQUESTS": "5"}),
    "ping_interval": (0.1, 3600, {}),
    "ping_timeout": (0.1, 3600, {}),
    "max_clients": (1, 1_000_000, {}),
    "jobs_concurrency": (1, 1024, {}),
    "jobs_queue_limit": (1, 1_000_000, {}),
    "jobs_grace": (0.1, 3600, {}),
    "jobs_lease": (1, 3600, {}),
    "jobs_keep_days": (1, 36_500, {}),
    "jobs_output_limit": (16_384, 2**26, {}),
}


def test_every_number_has_its_bounds_tested() -> None:
    """A number added to the settings has to be added above."""
    numbers = {key for key, setting in SETTINGS.items() if "number" in setting.type.expected}
    assert numbers == set(BOUNDS)


@pytest.mark.parametrize("key", BOUNDS)
def test_a_number_is_taken_at_its_bounds_and_refused_beyond(key: str) -> None:
    """Both bounds belong to the range."""
    low, high, others = BOUNDS[key]
    step = 0.01 if isinstance(low, float) or key.startswith("ping") else 1
    for right in (low, high):
        assert value_of(key, str(right), **others) == right
    for wrong in (low - step, high + step):
        (problem,) = problems_of({variable(key): str(wrong), **others})
        assert problem.startswith(f"{written(key)} (HVD_{key.upper()}) is ")
        assert str(wrong) in problem


@pytest.mark.parametrize(
    "text", ["08", "+4", "1_0", "0x10", "4.0", "1e1", "four", "-", "٤", "4 4", "99999999999999999999"]
)
def test_a_whole_number_is_written_plainly(text: str) -> None:
    """What TOML or a person could read in two ways is refused rather than guessed at."""
    (problem,) = problems_of({"HVD_WORKERS": text})
    assert "a whole number from 1 to 1024" in problem


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e400", "02.0", ".5", "2,0", "2s"])
def test_seconds_are_written_plainly_and_finite(text: str) -> None:
    """NaN passes naive comparisons."""
    (problem,) = problems_of({"HVD_INTERVAL": text})
    assert "a number of seconds from 0.1 to 60" in problem


@pytest.mark.parametrize("line", ["workers = true", "workers = 4.0", 'workers = "4"', "workers = [4]"])
def test_a_whole_number_in_the_file_has_that_type(tmp_path: Path, line: str) -> None:
    """A boolean is no number of workers, although Python takes it for an int."""
    (problem,) = problems_of(config(tmp_path, line))
    assert "hvd.toml:1" in problem


@pytest.mark.parametrize("line", ["interval = nan", "interval = inf", "interval = true", "interval = '2'"])
def test_seconds_in_the_file_are_finite_numbers(tmp_path: Path, line: str) -> None:
    """TOML itself has nan and inf."""
    assert len(problems_of(config(tmp_path, line))) == 1


def test_whole_seconds_in_the_file_are_taken(tmp_path: Path) -> None:
    """Nobody has to write 2.0."""
    assert load(config(tmp_path, "interval = 3")).settings.interval == 3.0


@pytest.mark.parametrize("text", ["", "  ", "\t"])
def test_a_blank_variable_counts_as_unset(text: str) -> None:
    """An EnvironmentFile with `HVD_WORKERS=` means the default."""
    loaded = load({"HVD_THREADS": text, "HVD_CONFIG": text, "STATE_DIRECTORY": text.strip()})
    assert loaded.settings.threads == 4
    assert loaded.sources["threads"] == "default"


def test_blanks_around_a_value_are_dropped() -> None:
    """They come from files that people edit."""
    assert value_of("workers", " 3 ") == 3


@pytest.mark.parametrize(
    "bind", ["127.0.0.1:8080", "0.0.0.0:1", "localhost:65535", "[::1]:8080", "[fe80::1%eth0]:80", "a-b.c:80"]
)
def test_bind_takes_host_and_port(bind: str) -> None:
    """Names, IPv4, and IPv6 in brackets."""
    assert value_of("bind", bind) == bind


def test_bind_takes_a_unix_path_and_makes_it_absolute() -> None:
    """The companions and the command may run in another folder."""
    assert value_of("bind", "unix:run/x.sock") == f"unix:{Path.cwd()}/run/x.sock"
    assert value_of("bind", "unix:///run/x.sock") == "unix:/run/x.sock"


@pytest.mark.parametrize(
    "bind",
    [
        *("8080", ":8080", "localhost", "localhost:", "h:65536", "h:080", "::1:80", "h:80,h:81", "http://h:80"),
        *("unix:", "unix://", "unix:/" + "x" * 107, "unix:/a\x1b", "[::1]", "[zz]:80", "h:-1", "fd://3"),
    ],
)
def test_bind_refuses_anything_else(bind: str) -> None:
    """And says what it takes."""
    (problem,) = problems_of({"HVD_BIND": bind})
    assert "unix:PATH" in problem


def test_port_0_needs_an_instance() -> None:
    """The block's name can't follow from a port that isn't known yet."""
    (problem,) = problems_of({"HVD_BIND": "127.0.0.1:0"})
    assert problem.startswith('bind (HVD_BIND) is "127.0.0.1:0": ')
    assert "set instance" in problem
    assert value_of("bind", "127.0.0.1:0", HVD_INSTANCE="test") == "127.0.0.1:0"
    assert value_of("bind", "unix:/tmp/x:0") == "unix:/tmp/x:0"


def test_the_instance_differs_where_the_address_does() -> None:
    """Otherwise one daemon would find the other's block in its way."""
    binds = ["127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080", "[::]:8080", "unix:/a/b", "unix:/a-b", "unix:/a:b"]
    binds += ["x" * 80 + ":1", "y" + "x" * 79 + ":1"]
    names = [value_of("instance", "", HVD_BIND=bind) for bind in binds]
    assert len(set(names)) == len(binds)
    assert names == [value_of("instance", name) for name in names], "each is itself a valid instance"
    assert names[0] == "127.0.0.1-8080"
    assert names[4].startswith("a-b-")


@pytest.mark.parametrize("name", ["a/b", "a b", "x" * 65, "ä", "a\nb"])
def test_an_instance_is_a_plain_name(name: str) -> None:
    """It becomes a file's name."""
    assert "1 to 64 of the characters" in problems_of({"HVD_INSTANCE": name})[0]


def test_worker_classes_that_are_not_supported_are_refused_by_name() -> None:
    """gevent and friends would share a row between greenlets."""
    (problem,) = problems_of({"HVD_WORKER_CLASS": "gevent"})
    assert '"gevent"' in problem
    assert "gthread or sync" in problem


def test_threads_of_sync_are_one() -> None:
    """As a default silently, as a wish for more not."""
    assert load({"HVD_WORKER_CLASS": "sync"}).settings.threads == 1
    assert value_of("threads", "1", HVD_WORKER_CLASS="sync") == 1
    (problem,) = problems_of({"HVD_WORKER_CLASS": "sync", "HVD_THREADS": "2"})
    assert problem.startswith("threads (HVD_THREADS) is 2: worker_class sync ")


def test_slots_leave_room_beside_the_workers() -> None:
    """Old and new workers live side by side at a reload."""
    (problem,) = problems_of({"HVD_WORKERS": "10", "HVD_SLOTS": "13"})
    assert problem.startswith("slots (HVD_SLOTS) is 13: 10 workers need at least 14")
    assert value_of("slots", "14", HVD_WORKERS="10") == 14
    assert value_of("slots", "", HVD_WORKERS="100") == 800
    assert value_of("slots", "", HVD_WORKERS="1024") == 4096


def test_jitter_without_max_requests_is_refused() -> None:
    """It would have no effect, which its author doesn't know."""
    (problem,) = problems_of({"HVD_MAX_REQUESTS_JITTER": "5"})
    assert problem.startswith("max_requests_jitter (HVD_MAX_REQUESTS_JITTER) is 5: ")


def test_origins_become_what_a_browser_sends() -> None:
    """Lower case, without the scheme's own port."""
    text = "https://Hvd.example:443, http://a:80,http://a:8080 , https://[::1]:8443"
    expected = ("https://hvd.example", "http://a", "http://a:8080", "https://[::1]:8443")
    assert value_of("allowed_origins", text) == expected
    assert value_of("allowed_origins", "*") == ("*",)


@pytest.mark.parametrize("text", ["example.org", "https://a/", "https://a:0", "https://a:65536", "*,https://a", "null"])
def test_origins_that_no_browser_sends_are_refused(text: str) -> None:
    """They would never match."""
    assert len(problems_of({"HVD_ALLOWED_ORIGINS": text})) == 1


@pytest.mark.parametrize("value", ["'https://a'", "[1]", "{}"])
def test_origins_in_the_file_are_a_list_of_texts(tmp_path: Path, value: str) -> None:
    """A lone text would be read letter by letter."""
    assert len(problems_of(config(tmp_path, f"allowed_origins = {value}"))) == 1


def test_log_levels_are_known_names_in_any_case() -> None:
    """INFO is as good as info."""
    assert value_of("log_level", "WARNING") == "warning"
    assert "debug, info, warning, error, critical" in problems_of({"HVD_LOG_LEVEL": "loud"})[0]


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
    settings, sources, file = load({**environ, "HVD_THREADS": "6"})
    assert (settings.workers, settings.threads) == (3, 6)
    assert (sources["workers"], sources["threads"], sources["bind"]) == ("hvd.toml", "HVD_THREADS", "default")
    assert file == environ["HVD_CONFIG"]


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


@pytest.mark.parametrize("name", ["HVD_BUILD_EXTENSION", "HVD_JOB"])
def test_variables_for_other_programs_are_no_mistake(name: str) -> None:
    """For setup.py, which an image may keep; for the programs of jobs."""
    assert load({name: "x"}) == load({})


def test_a_wrong_value_causes_no_second_complaint() -> None:
    """A contradiction with a value that is refused anyway is noise."""
    assert len(problems_of({"HVD_WORKERS": "0", "HVD_SLOTS": "2"})) == 1


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
        [sys.executable, "-c", "from hvd.settings.table import load_or_exit; load_or_exit(); print('went on')"],
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


def test_load_or_exit_returns_good_settings() -> None:
    """The way of the daemon."""
    assert load_or_exit({"HVD_WORKERS": "7"}).workers == 7


def test_passwords_are_not_shown() -> None:
    """Not in a complaint either."""
    assert "geheim" not in problems_of({"HVD_DATABASE_URL": "1://u:geheim@h"})[0]


def test_the_table_names_every_setting() -> None:
    """The README derives from it."""
    table = markdown_table()
    assert len(table.splitlines()) == 2 + len(SETTINGS) + 1, "the kinds of job have no variable"
    for key, setting in SETTINGS.items():
        assert f"| `{written(key)}` | `HVD_{key.upper()}` |" in table
        assert setting.help in table
    assert "| `2.0` |" in table
    assert "| `jobs.queue_limit` | `HVD_JOBS_QUEUE_LIMIT` | `10000` |" in table


def test_the_jobs_have_a_table(tmp_path: Path) -> None:
    """Its keys are those of the settings without jobs_; variables override them."""
    environ = config(tmp_path, "workers = 3\n[jobs]\nqueue_limit = 5\ngrace = 1\n")
    settings, sources, _ = load({**environ, "HVD_JOBS_GRACE": "2.5", "HVD_JOBS_LEASE": "30"})
    assert (settings.jobs_queue_limit, settings.jobs_grace, settings.jobs_lease) == (5, 2.5, 30.0)
    assert sources["jobs_queue_limit"] == "hvd.toml"
    assert (sources["jobs_grace"], sources["jobs_concurrency"]) == ("HVD_JOBS_GRACE", "default")


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


@pytest.mark.parametrize("text", ["jobs = 3", "jobs = []", "[[jobs]]\ngrace = 1", "jobs = 'x'"])
def test_the_table_of_the_jobs_is_a_table(tmp_path: Path, text: str) -> None:
    """And nothing else."""
    environ = config(tmp_path, text)
    assert problems_of(environ) == (f"jobs ({environ['HVD_CONFIG']}:1) is no table: write [jobs] above its keys",)


def test_kinds_of_job_come_from_the_file(tmp_path: Path) -> None:
    """As the example of the README has it."""
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


@pytest.mark.parametrize("token", ["x" * 15, "x" * 4097, "geheim geheim geheim", "gehéim" * 4, "geheim\x7f" * 4])
def test_a_wrong_token_is_refused_and_not_shown(tmp_path: Path, token: str) -> None:
    """It may be nearly the right one."""
    expected = "is ***: it must be 16 to 4096 printable ASCII characters, no blanks"
    assert problems_of({"HVD_TOKEN": token}) == (f"token (HVD_TOKEN) {expected}",)
    for value in (f"'{token}'", f"['{token}']", f"{{ a = '{token}' }}"):
        environ = config(tmp_path, f"token = {value}".replace("\x7f", " "))
        assert problems_of(environ) == (f"token ({environ['HVD_CONFIG']}:1) {expected}",)
    (problem,) = problems_of(config(tmp_path, "token = ''"))
    assert ":1) is none: it must be 16 to 4096" in problem


def test_the_token_is_in_no_text_of_the_settings() -> None:
    """Whoever logs them gives nothing away."""
    for token in ("geheim~!" * 2, "x" * 4096):
        settings = load({"HVD_TOKEN": f" {token} "}).settings
        assert settings.token == token
        assert token not in repr(settings)
        assert SETTINGS["token"].shown(token) == "***"


@pytest.mark.parametrize(
    ("url", "as_read"),
    [
        ("sqlite:////srv/a b.db", ""),
        ("sqlite:///var/hvd.db", f"sqlite:///{Path.cwd()}/var/hvd.db"),
        ("postgresql://hvd@db/hvd", ""),
        ("postgresql+psycopg://hvd:x@db:5432/hvd?sslmode=require", ""),
    ],
)
def test_a_database_is_sqlite_or_postgresql(url: str, as_read: str) -> None:
    """The path of a file is made absolute, since the runner may work in another folder."""
    assert value_of("database_url", url) == (as_read or url)


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?mode=ro", "sqlite:///dir/", "/srv/hvd.db"),
        *("mysql://db/hvd", "postgres://db/hvd", "postgresql+asyncpg://db/hvd", "postgresql:", "postgresql://a b"),
    ],
)
def test_other_databases_are_refused(url: str) -> None:
    """With those that there are; a database in memory would be another one in each process."""
    (problem,) = problems_of({"HVD_DATABASE_URL": url})
    assert "it must be sqlite:///PATH or postgresql://USER@HOST/NAME" in problem


def test_a_state_dir_that_can_hold_no_database_is_told() -> None:
    """SQLAlchemy would cut the path at the question mark."""
    assert load({"HVD_STATE_DIR": "/a b"}).settings.database_url == "sqlite:////a b/hvd.sqlite3"
    (problem,) = problems_of({"HVD_STATE_DIR": "/a?b"})
    assert problem.startswith('database_url would be "sqlite:////a?b/hvd.sqlite3", which can\'t be: set it to sqlite')
    assert value_of("database_url", "sqlite:////x", HVD_STATE_DIR="/a?b") == "sqlite:////x"


SERVICE = {
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


@pytest.mark.parametrize("name", SERVICE)
def test_what_kubernetes_and_docker_tell_of_a_service_named_hvd_is_no_mistake(name: str) -> None:
    """Every pod of the namespace, every linked container has it; nobody wrote it."""
    assert load({"HVD_PORT": SERVICE["HVD_PORT"], name: SERVICE[name]}) == load({})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HVD_PORT", "8080"),
        ("HVD_NAME", "web"),
        ("HVD_SERVICE_PORT", "http"),
        ("HVD_PORTS", "tcp://a:1"),
        ("HVD_ENV", ""),
        ("HVD_ENV_FOO", "1"),
        ("HVD_NAME", "/x"),
        ("HVD_STATE_NAME", "/var"),
        ("HVD_PORT_80_TCP_FOO", "1"),
        ("HVD_PORT_80_TCP_PORT", "http"),
        ("HVD_SERVICE_HOST", ""),
    ],
)
def test_what_only_looks_like_a_service_is_a_mistake(name: str, value: str) -> None:
    """A person wrote it, who believes that hvd reads it."""
    assert "is no variable of hvd" in problems_of({name: value})[0]


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
    assert lines[-1] == f"  and {caught.value.untold} more"


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
