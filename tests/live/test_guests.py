"""Services of anybody's under hvd: the app, its settings and its hooks stay as they are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hvd.cli.demo import free_port
from tests.support.guest import HELLO, Guest, Run
from tests.support.http import Connection
from tests.support.waiting import PATIENCE, until

READ_ONLY = [
    *("unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "-m", "sh", "-c"),
    'mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro "$PWD" && cd "$PWD" && exec "$@"',
    "sh",
]
"""The beginning of a command that runs the rest in its folder, where nothing can be written."""

PASTE = """\
[app:main]
paste.app_factory = shop:make
"""


def test_a_plain_app_is_counted_under_its_own_settings(tmp_path: Path) -> None:
    """Its own gunicorn.conf.py, and one line more."""
    with Guest(tmp_path, conf="threads = 3\n", arguments=("-k", "gthread")) as guest:
        for _ in range(5):
            assert guest.get("/").body == b"ok"
        until(lambda: guest.snapshot()["http_requests"] == 5, "all are counted")
        assert guest.snapshot()["worker_threads"] == 6
    assert guest.alarms == []


def test_settings_are_in_force_where_gunicorn_reads_them(tmp_path: Path) -> None:
    """Variables of gunicorn's and a platform's, values that hvd's own settings refuse, a folder that is read-only."""
    folder, port, toml = tmp_path / "shop", free_port(), tmp_path / "hvd.toml"
    folder.mkdir()
    toml.write_text("workers = 7\nthreads = 2\ninterval = 0.5\n")
    guest = Guest(
        folder,
        conf="preload_app = True\nimport hvd.gunicorn\nhvd.gunicorn.install(globals())\ntimeout = 0\nthreads = 300\n",
        bind=f"0.0.0.0:{port}",
        named=False,
        environ={
            "PORT": str(port),
            "WEB_CONCURRENCY": "3",
            "GUNICORN_CMD_ARGS": "--keep-alive 0 --graceful-timeout 0 --max-requests-jitter 4 --no-control-socket",
            "HVD_CONFIG": str(toml),
            "HVD_TIMEOUT": "5",
        },
    )
    at = guest.command.index("-b")
    del guest.command[at : at + 4]
    guest.command = [*READ_ONLY, *guest.command]
    guest.log_path = tmp_path / "log"
    with guest:
        assert guest.get("/").body == b"ok"
        until(lambda: guest.snapshot()["http_requests"] == 1, "it is counted")
        assert guest.snapshot()["worker_threads"] == 900
        (line,) = (line for line in guest.log.splitlines() if "WARNING" in line)
        unused = f"workers ({toml}:1), threads ({toml}:2), timeout (HVD_TIMEOUT)"
        assert line.endswith(f"hvd: without effect here: {unused}; gunicorn's own settings decide on that")
        guest.reload()


def test_a_file_that_has_a_typo_while_the_reloader_watches(tmp_path: Path) -> None:
    """gunicorn serves its own page of errors until it is mended; the proof holds."""
    with Guest(tmp_path, conf="reload = True\nreload_engine = 'poll'\n", workers=1) as guest:

        def edited(text: str, status: int) -> None:
            until(lambda: answer(text) == status, f"{status} is answered", 30, pause=0.3)

        def answer(text: str) -> int:
            (tmp_path / "shop.py").write_text(text)  # again: gunicorn misses what changes before its first look
            try:
                return guest.get("/").status
            except OSError:
                return 0

        edited("def app(:\n", 500)
        edited(HELLO, 200)
        until(lambda: guest.snapshot()["requests"]["in_flight"] == 0, "nothing is in progress")
        requests = guest.snapshot()["requests"]
        assert requests["started"] == requests["finished"] + requests["aborted"]


def test_an_app_of_paste(tmp_path: Path) -> None:
    """Whose file has the app's name."""
    files = {"shop.py": HELLO + "def make(config): return app\n", "shop.ini": PASTE}
    with Run(tmp_path, "--", "--paste", "shop.ini", app="", files=files) as run:
        assert run.get("/").body == b"ok"
        until(lambda: run.snapshot()["http_requests"] == 1, "it is counted")


def hvd(*arguments: str) -> subprocess.CompletedProcess[str]:
    own = {name: text for name, text in os.environ.items() if not name.startswith("HVD_")}
    command = [sys.executable, "-m", "hvd", *arguments]
    return subprocess.run(command, env=own, capture_output=True, text=True, timeout=30 * PATIENCE)


def test_two_services_of_one_machine_never_meet(tmp_path: Path) -> None:
    """Under one hvd.toml, whose bind is neither's; the commands find both."""
    toml = tmp_path / "hvd.toml"
    toml.write_text('bind = "127.0.0.1:1"\ninterval = 0.5\n')
    folders, services = [tmp_path / "one", tmp_path / "two"], []
    for folder in folders:
        folder.mkdir()
        environ = {"HVD_CONFIG": str(toml)}
        services.append(
            (Guest, Run)[len(services)](folder, bind=f"127.0.0.1:{free_port()}", named=False, environ=environ)
        )
    own, run = services
    with own, run:
        for _ in range(3):
            assert own.get("/").status == 200
        assert run.get("/").status == 200
        until(lambda: own.snapshot()["http_requests"] == 3, "each counts its own")
        until(lambda: run.snapshot()["http_requests"] == 1, "each counts its own")
        listed = {daemon["instance"]: daemon for daemon in json.loads(hvd("list", "--json").stdout)}
        assert listed[own.instance]["health"] == listed[run.instance]["health"] == "healthy"
        assert hvd("status", "--instance", run.instance).returncode == 0
        page = "127.0.0.1:{1}".format(*run.admin_address)
        assert listed[run.instance]["admin"] == [f"http://{page}"]
        with Connection(("127.0.0.1", int(page.rpartition(":")[2])), 30) as browser:
            assert browser.get("/health").json()["status"] == "healthy"


@pytest.mark.parametrize(
    ("conf", "reason"),
    [
        ("worker_class = 'nobody.Knows'\n", "worker class 'nobody.Knows' can't be loaded"),
        ("worker_tmp_dir = '/nowhere'\n", "worker_tmp_dir is '/nowhere'"),
    ],
)
def test_what_cannot_be_composed_is_one_line(tmp_path: Path, conf: str, reason: str) -> None:
    """No traceback, and nothing that half works."""
    guest = Guest(tmp_path, conf=conf)
    assert guest.start_in_vain() == 2
    (line,) = (line for line in guest.log.splitlines() if "[INFO]" not in line)
    assert line.startswith(f"hvd: {reason}")
    assert not guest.processes()
