"""What each setting takes, and what the table of them says."""

from pathlib import Path

import pytest

from hvd.settings import table
from hvd.settings.loader import load
from hvd.settings.table import SETTINGS, variable, written
from tests.unit.settings.support import config, problems_of, value_of

HVD = Path(__file__).parents[3] / "hvd"

BOUNDS: dict[str, tuple[float, float, dict[str, str]]] = {
    "workers": (1, 1024, {}),
    "threads": (1, 256, {}),
    "interval": (0.1, 60, {}),
    "max_series": (16, 100_000, {}),
    "own_series": (256, 1_000_000, {}),
    "slots": (5, 4096, {"HVD_WORKERS": "1"}),
    "timeout": (1, 86_400, {}),
    "graceful_timeout": (1, 86_400, {}),
    "keepalive": (0, 86_400, {}),
    "max_requests": (0, 10**9, {}),
    "max_requests_jitter": (0, 10**9, {"HVD_MAX_REQUESTS": "5"}),
    "ping_interval": (0.1, 3600, {}),
    "ping_timeout": (0.1, 3600, {}),
    "max_clients": (1, 1_000_000, {}),
    "entries": (16, 65_536, {}),
    "limits_head_seconds": (0.1, 3600, {}),
    "limits_body_seconds": (0.1, 3600, {}),
    "limits_send_seconds": (0.1, 3600, {}),
    "watch_slow_request_seconds": (0, 86_400, {}),
    "otlp_interval": (1, 86_400, {}),
    "otlp_timeout": (0.1, 600, {}),
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


REFUSED = {
    # what TOML or a person could read in two ways is refused rather than guessed at
    "workers": (
        "a whole number from 1 to 1024",
        ["08", "+4", "1_0", "0x10", "4.0", "1e1", "four", "-", "٤", "4 4", "99999999999999999999"],
    ),
    # NaN passes naive comparisons
    "interval": ("a number of seconds from 0.1 to 60", ["nan", "inf", "-inf", "1e400", "02.0", ".5", "2,0", "2s"]),
    "socket_mode": ("three octal digits", ["66", "0o660", "06600", "0460", "0668", "rw-rw----", "432"]),
    "socket_group": ("a group's name or gid", ["a b", "-1", "a:b", "a,b", "x" * 33, "9" * 10]),
    "bind": (
        "unix:PATH",
        [
            *("8080", ":8080", "localhost", "localhost:", "h:65536", "h:080", "::1:80", "h:80,h:81", "http://h:80"),
            *("unix:", "unix://", "unix:/" + "x" * 107, "unix:/a\x1b", "[::1]", "[zz]:80", "h:-1", "fd://3"),
        ],
    ),
    # it becomes a file's name
    "instance": ("1 to 64 of the characters", ["a/b", "a b", "x" * 65, "ä", "a\nb"]),
    # gunicorn would answer with a traceback
    "worker_class": ("it must be a name that gunicorn knows", ["my worker", "a/b.Worker", "x" * 201]),
    # no browser sends them
    "allowed_origins": (
        "it must be ",
        ["example.org", "https://a/", "https://a:0", "https://a:65536", "*,https://a", "null"],
    ),
    "log_level": ("debug, info, warning, error, critical", ["loud"]),
    # a database in memory would be another one in each process
    "database_url": (
        "it must be sqlite:///PATH or postgresql://USER@HOST/NAME",
        [
            *("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///a?mode=ro", "sqlite:///dir/", "/srv/hvd.db"),
            *("mysql://db/hvd", "postgres://db/hvd", "postgresql+asyncpg://db/hvd", "postgresql:", "postgresql://a b"),
        ],
    ),
    # a password in a URL would be in every line of the log
    "otlp_endpoint": (
        "http://HOST:PORT or https://HOST:PORT",
        [
            "localhost:4318",
            "ftp://h",
            "http://",
            "http://h:0",
            "http://h?a=b",
            "http://h/#a",
            "http://u:p@h",
            "http://a b",
        ],
    ),
    "otlp_protocol": ("one of http/protobuf, grpc", ["http/json", "http"]),
    "otlp_headers": ("of NAME=VALUE", ["a", "=b", "a b=c", "a:b=c", "ä=b", "a=ä", "a=b\nc"]),
    "otlp_attributes": ("of NAME=VALUE", ["a", "=b", "a b=c", "a=b, c"]),
    "otlp_compression": ("one of none, gzip", ["deflate"]),
}


@pytest.mark.parametrize(("key", "text"), [(key, text) for key, (_, texts) in REFUSED.items() for text in texts])
def test_what_a_setting_does_not_take_is_refused(key: str, text: str) -> None:
    """And it says what it takes."""
    (problem,) = problems_of({variable(key): text})
    assert REFUSED[key][0] in problem


@pytest.mark.parametrize(
    "line",
    [
        *("workers = true", "workers = 4.0", 'workers = "4"', "workers = [4]"),
        *("interval = nan", "interval = inf", "interval = true", "interval = '2'"),
        *("allowed_origins = 'https://a'", "allowed_origins = [1]", "allowed_origins = {}"),
    ],
)
def test_a_value_in_the_file_has_its_type(tmp_path: Path, line: str) -> None:
    """A boolean is no number of workers, although Python takes it for an int; a lone text would be read by letters."""
    (problem,) = problems_of(config(tmp_path, line))
    assert "hvd.toml:1" in problem
    assert load(config(tmp_path, "interval = 3")).settings.interval == 3.0, "nobody has to write 3.0"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        *(("bind", text, text) for text in ("127.0.0.1:8080", "0.0.0.0:1", "localhost:65535", "a-b.c:80")),
        *(("bind", text, text) for text in ("[::1]:8080", "[fe80::1%eth0]:80", "unix:/tmp/x:0")),
        # the companions and the command may run in another folder
        ("bind", "unix:run/x.sock", f"unix:{Path.cwd()}/run/x.sock"),
        ("bind", "unix:///run/x.sock", "unix:/run/x.sock"),
        # lower case, without the scheme's own port: as a browser sends it
        ("allowed_origins", "https://Hvd.example:443, http://a:80", ("https://hvd.example", "http://a")),
        ("allowed_origins", "http://a:8080 , https://[::1]:8443", ("http://a:8080", "https://[::1]:8443")),
        ("allowed_origins", "*", ("*",)),
        ("log_level", "WARNING", "warning"),
        *(("otlp_endpoint", text, text) for text in ("http://h:4318", "https://[::1]:4317/v1/metrics", "http://h/")),
        ("otlp_headers", "authorization=Basic YQ==, x-scope=", ("authorization=Basic YQ==", "x-scope=")),
        ("otlp_attributes", "service.name=grüße, k8s.pod=a=b", ("service.name=grüße", "k8s.pod=a=b")),
        ("database_url", "sqlite:///var/hvd.db", f"sqlite:///{Path.cwd()}/var/hvd.db"),
        *(("database_url", text, text) for text in ("sqlite:////srv/a b.db", "postgresql://hvd@db/hvd")),
        *(("database_url", text, text) for text in ("postgresql+psycopg://hvd:x@db:5432/hvd?sslmode=require",)),
    ],
)
def test_what_a_setting_takes(key: str, text: str, value: object) -> None:
    """In the form in which the daemon needs it."""
    assert value_of(key, text) == value


@pytest.mark.parametrize(("workers", "slots"), [(1, 64), (8, 64), (9, 72), (1024, 4096)])
def test_slots_grow_with_the_workers(workers: int, slots: int) -> None:
    """Up to the most that may be set."""
    assert value_of("slots", "", HVD_WORKERS=str(workers)) == slots


def test_workers_and_jobs_follow_the_cores_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of affinity and quota (test_processors.py), not the machine's."""
    for cores, workers in ((1, 2), (6, 6), (2000, 1024)):
        monkeypatch.setattr(table, "usable_cores", lambda cores=cores: cores)
        assert (value_of("workers", ""), value_of("jobs_concurrency", "")) == (workers, min(cores, 1024))


def test_the_instance_differs_where_the_address_does() -> None:
    """Otherwise one daemon would find the other's block in its way."""
    binds = ["127.0.0.1:8080", "127.0.0.1:8081", "[::1]:8080", "[::]:8080", "unix:/a/b", "unix:/a-b", "unix:/a:b"]
    binds += ["x" * 80 + ":1", "y" + "x" * 79 + ":1"]
    names = [value_of("instance", "", HVD_BIND=bind) for bind in binds]
    assert len(set(names)) == len(binds)
    assert names == [value_of("instance", name) for name in names], "each is itself a valid instance"
    assert names[0] == "127.0.0.1-8080"
    assert names[4].startswith("a-b-")


def test_the_token_is_in_no_text_of_the_settings() -> None:
    """Whoever logs them gives nothing away."""
    for token in ("geheim~!" * 2, "x" * 4096):
        settings = load({"HVD_TOKEN": f" {token} "}).settings
        assert settings.token == token
        assert token not in repr(settings)
        assert SETTINGS["token"].as_text(token) == "***"


def test_every_setting_is_read_by_a_part() -> None:
    """One that is declared, and documented, has an effect too."""
    code = "".join(path.read_text("utf-8") for path in HVD.rglob("*.py") if path.parent.name != "settings")
    without = {key for key in SETTINGS if f"settings.{key}" not in code and f'"{key}"' not in code}
    assert not without
