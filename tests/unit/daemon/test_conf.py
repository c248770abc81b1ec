"""What gunicorn was told otherwise wins, and hvd's own settings follow it."""

import fcntl
import inspect
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.workers.sync import SyncWorker
from gunicorn.workers.workertmp import WorkerTmp

from hvd.daemon import conf
from hvd.daemon.workers import HvdSyncWorker, HvdThreadWorker
from hvd.errors import SettingsError
from hvd.settings.loader import load
from hvd.settings.table import Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this shell's own."""
    for name in ("HVD_CONFIG", "HVD_BIND", "HVD_WORKERS", "HVD_THREADS", "HVD_INSTANCE", "PORT", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HVD_ALLOW_PUBLIC", "true")


def configured(environ: dict[str, str] | None = None, **told: Any) -> Config:
    """gunicorn's settings as hvd gives them, and then those that it was told otherwise."""
    cfg = Config()
    namespace: dict[str, Any] = {}
    conf.fill(namespace, load(environ or {}).settings)
    for name, value in {**namespace, **told}.items():
        cfg.set(name, value)
    return cfg


def in_force(**told: Any) -> Settings:
    return conf.in_force(configured(**told))


def test_without_other_settings_hvds_own_are_in_force() -> None:
    """Nothing is taken for told otherwise that hvd gave itself."""
    assert in_force() == load().settings


@pytest.mark.parametrize(
    ("told", "bind", "instance"),
    [
        (["0.0.0.0:9000"], "0.0.0.0:9000", "0.0.0.0-9000"),
        (["localhost"], "localhost:8000", "localhost-8000"),
        ([":9000"], ":9000", "9000"),
        (["127.0.0.2:1", "127.0.0.3:2"], "127.0.0.2:1", "127.0.0.2-1"),
        (["[::1]:90"], "[::1]:90", "1-90-0e6790da"),
        (["unix:/run/a.sock"], "unix:/run/a.sock", "run-a.sock-d486ed85"),
    ],
)
def test_the_instance_is_of_the_address_in_force(told: list[str], bind: str, instance: str) -> None:
    """Two daemons with one HVD_BIND and two -b are two; of several addresses the first names it."""
    settings = in_force(bind=told)
    assert (settings.bind, settings.instance) == (bind, instance)


def test_a_descriptor_names_no_instance() -> None:
    """Every daemon may have a descriptor 3."""
    with pytest.raises(SettingsError, match="set instance"):
        in_force(bind=["fd://3"])


def test_rows_and_slots_follow_threads_and_workers() -> None:
    """As many rows as threads, and eight slots a worker, unless slots says otherwise."""
    settings = in_force(threads=16, workers=80)
    assert (settings.threads, settings.workers, settings.slots) == (16, 80, 640)


def test_a_reload_follows_what_the_file_says_only_where_gunicorn_was_told_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command line wins each time."""
    configured()
    monkeypatch.setenv("HVD_WORKERS", "7")
    monkeypatch.setenv("HVD_THREADS", "3")
    conf.read_again()
    cfg = Config()
    for name, value in {**conf._namespace, "threads": 9}.items():
        cfg.set(name, value)
    settings = conf.in_force(cfg)
    assert (settings.workers, settings.threads) == (7, 9)


def test_more_workers_than_the_slots_that_were_set_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started, in the words of the setting."""
    monkeypatch.setenv("HVD_SLOTS", "64")
    with pytest.raises(SettingsError, match="80 workers need at least 84"):
        in_force(workers=80)


def test_the_class_of_worker_is_the_counting_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it was named; the threads that go with it are gunicorn's, and another class is refused."""
    assert conf.counting_class(configured()) is HvdThreadWorker
    assert conf.counting_class(configured(worker_class="sync", threads=1)) is HvdSyncWorker
    assert conf.counting_class(configured(worker_class=SyncWorker, threads=1)) is HvdSyncWorker
    settings = in_force(worker_class="sync", threads=1)
    assert (settings.worker_class, settings.threads) == ("sync", 1)
    monkeypatch.setenv("HVD_WORKER_CLASS", "sync")
    settings = conf.in_force(configured({"HVD_WORKER_CLASS": "sync"}, worker_class="gthread"))
    assert (settings.worker_class, settings.threads) == ("gthread", 1)


def test_heartbeats_are_in_memory_unless_told_otherwise() -> None:
    """A disk that hangs would have workers killed, and a system may have no folder for temporary files."""
    assert configured().worker_tmp_dir == "/dev/shm"
    conf.check_heartbeat(configured())
    conf.check_heartbeat(configured(worker_tmp_dir="/tmp"))
    before = os.umask(0o027)
    try:
        with pytest.raises(SettingsError, match=r"worker_tmp_dir is '/nowhere', where workers can't have files"):
            conf.check_heartbeat(configured(worker_tmp_dir="/nowhere"))
    finally:
        os.umask(before)


def test_what_a_workers_file_needs_is_what_was_read() -> None:
    """WorkerTmp is no public API of gunicorn's."""
    made = inspect.getsource(WorkerTmp.__init__)
    assert "raise RuntimeError" in made
    assert 'tempfile.mkstemp(prefix="wgunicorn-", dir=fdir)' in made
    assert list(inspect.signature(WorkerTmp).parameters) == ["cfg"]


def test_processes_are_named_after_the_instance_unless_somebody_named_them() -> None:
    """ps(1) tells two daemons of one machine apart."""
    cfg = configured(bind=["0.0.0.0:9000"])
    conf.name_processes(cfg, conf.in_force(cfg))
    assert cfg.proc_name == "hvd-0.0.0.0-9000"
    cfg = configured(proc_name="mine")
    conf.name_processes(cfg, conf.in_force(cfg))
    assert cfg.proc_name == "mine"


@pytest.fixture
def guest() -> Iterator[None]:
    """gunicorn has settings of its own."""
    conf.be_guest()
    yield
    conf.be_guest(False)


def own(**told: Any) -> Config:
    """gunicorn's settings as somebody has them without a thought of hvd."""
    cfg = Config()
    for name, value in told.items():
        cfg.set(name, value)
    return cfg


@pytest.mark.usefixtures("guest")
def test_a_guest_takes_whatever_gunicorn_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values that hvd's own settings refuse; what hvd's say of the same is without effect, and is told."""
    for name, value in {"HVD_BIND": "1.2.3.4:5", "HVD_WORKERS": "no", "HVD_LOG_LEVEL": "debug", "PORT": "77"}.items():
        monkeypatch.setenv(name, value)
    zeros: dict[str, Any] = dict.fromkeys(("timeout", "keepalive", "graceful_timeout", "workers"), 0)
    cfg = own(bind=["127.0.0.1:9000", "unix:/run/a.sock"], threads=1000, max_requests_jitter=3, **zeros)
    settings = conf.in_force(cfg)
    assert (settings.bind, settings.instance, settings.threads) == ("127.0.0.1:9000", "127.0.0.1-9000", 1000)
    assert {getattr(settings, name) for name in zeros} == {0}
    assert conf.unused(cfg) == ["bind (HVD_BIND)", "log_level (HVD_LOG_LEVEL)", "workers (HVD_WORKERS)"]


def test_each_socket_that_systemd_passes_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever bind says: it is there that others come in. At a reload the descriptors are gone."""
    monkeypatch.delenv("HVD_ALLOW_PUBLIC")
    monkeypatch.setattr(conf, "_inherited", ("", ()))
    with ExitStack() as stack:
        inner, outer = (stack.enter_context(socket.create_server((host, 0))) for host in ("127.0.0.1", "0.0.0.0"))
        first = fcntl.fcntl(inner, fcntl.F_DUPFD_CLOEXEC, 500)  # two that follow each other, as systemd passes them
        stack.callback(os.close, first)
        stack.callback(os.close, os.dup2(outer.fileno(), first + 1, inheritable=False))
        monkeypatch.setattr(conf, "SD_LISTEN_FDS_START", first)
        monkeypatch.setattr(conf, "listen_fds", lambda unset_environment: 2)
        port = outer.getsockname()[1]
        with pytest.raises(SettingsError, match=f"bind is 0.0.0.0:{port}, which other machines reach"):
            in_force()
    monkeypatch.setattr(conf, "listen_fds", lambda unset_environment: 0)
    with pytest.raises(SettingsError, match=f"bind is 0.0.0.0:{port}, which other machines reach"):
        in_force()


@pytest.mark.usefixtures("guest")
def test_a_guest_is_named_by_the_address_of_the_socket_that_it_inherits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor says nothing of where it is served; at a reload it is closed, and the name stays."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cfg, port = own(bind=[f"fd://{listener.fileno()}"]), listener.getsockname()[1]
        assert conf.in_force(cfg).instance == f"127.0.0.1-{port}"
    assert conf.in_force(cfg).instance == f"127.0.0.1-{port}"
    with pytest.raises(SettingsError, match="gunicorn's bind is fd://999, which is no socket"):
        conf.in_force(own(bind=["fd://999"]))


@pytest.mark.usefixtures("guest")
def test_hvd_is_no_guest_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings would be half hvd's."""
    conf.check_app(SimpleNamespace(app_uri="shop:app"))
    conf.check_app(object())
    with pytest.raises(SettingsError, match=r"hvd.web.wsgi:app is hvd's own app: serve it by `hvd run` without an app"):
        conf.check_app(SimpleNamespace(app_uri="hvd.web.wsgi:app"))


@pytest.mark.usefixtures("guest")
def test_a_page_has_an_address_of_its_own_where_none_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line's, the settings', or one that is chosen once."""
    cfg = own()
    try:
        conf.show_page("", choose=True)
        chosen = conf.in_force(cfg).admin_bind
        assert chosen.startswith("127.0.0.1:94")
        assert conf.in_force(cfg).admin_bind == chosen
        conf.show_page("", choose=True)
        monkeypatch.setenv("HVD_ADMIN_BIND", "127.0.0.1:1")
        assert conf.in_force(cfg).admin_bind == "127.0.0.1:1"
        conf.show_page("127.0.0.1:2", choose=False)
        assert conf.in_force(cfg).admin_bind == "127.0.0.1:2"
    finally:
        conf.show_page("", choose=False)
