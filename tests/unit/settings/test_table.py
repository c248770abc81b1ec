"""What each setting takes, and what the table of them says."""

from pathlib import Path

import pytest

from hvd.settings.loader import load
from hvd.settings.table import SETTINGS, markdown_table, variable, written
from tests.unit.settings.support import config, problems_of, value_of

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


def test_the_table_names_every_setting() -> None:
    """The README derives from it."""
    table = markdown_table()
    assert len(table.splitlines()) == 2 + len(SETTINGS) + 1, "the kinds of job have no variable"
    for key, setting in SETTINGS.items():
        assert f"| `{written(key)}` | `HVD_{key.upper()}` |" in table
        assert setting.help in table
    assert "| `2.0` |" in table
    assert "| `jobs.queue_limit` | `HVD_JOBS_QUEUE_LIMIT` | `10000` |" in table


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
        assert SETTINGS["token"].as_text(token) == "***"


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
