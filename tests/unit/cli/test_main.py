"""The command: what it prints, its exit codes, and that nothing ends in a traceback."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from hvd import __version__
from hvd.cli.main import main
from hvd.settings.table import SETTINGS, written

HEALTHY = {"system_health": "healthy", "http_requests": 1250, "observed_age_seconds": 0.5, "workers": [], "x": "\x1b"}


@contextlib.contextmanager
def daemon(snapshot: Mapping[str, Any]) -> Iterator[str]:
    """A server that answers a snapshot; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(snapshot).encode()
            self.send_response(200 if self.path == "/api/v1/snapshot" else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:  # a thread that is left would keep a failed run from ending
            server.shutdown()
            thread.join()


def run(*args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hvd", *args],
        env=environ,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def test_check_shows_every_setting_with_its_source(tmp_path: Path) -> None:
    """Aligned, with the file, and the block's name at the end."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 3\n")
    done = run("check", HVD_CONFIG=str(file), HVD_BIND="unix:/run/a.sock", STATE_DIRECTORY="/s")
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head == f'file: "{file}"'
    rows = [line.split() for line in lines]
    assert [row[0] for row in rows] == [*map(written, SETTINGS), "block"]
    assert ["bind", '"unix:/run/a.sock"', "HVD_BIND"] in rows
    assert ["workers", "3", "hvd.toml"] in rows
    assert ["state_dir", '"/s"', "STATE_DIRECTORY"] in rows
    assert ["threads", "4", "default"] in rows
    assert rows[-1][1].startswith('"hvd-run-a.sock-')
    places = {line.index(row[2], line.index(row[1]) + len(row[1])) for line, row in zip(lines, rows, strict=True)}
    assert len(places) == 1, "the last column is aligned"


def test_check_lists_the_kinds_of_job_and_what_this_machine_lacks_for_them(tmp_path: Path) -> None:
    """A line each; what is missing is a warning, since the daemon runs as another user."""
    file = tmp_path / "hvd.toml"
    file.write_text(
        '[jobs.kinds.sum]\ncommand = ["no-such-program", "{file}", "{n}\\u001b"]\nenv = { KEY = "geheim" }\n'
        f'[jobs.kinds.sum.params]\nfile = {{ type = "path", roots = ["{tmp_path}"] }}\n'
        'n = { type = "int", min = 0, max = 9 }\n[jobs.kinds.nothing]\ncommand = ["true"]\n'
    )
    done = run("check", HVD_CONFIG=str(file), PATH="/usr/bin:/bin")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-3:] == [
        'kind of job sum: ["no-such-program", "{file}", "{n}\\u001b"], params file: path, n: int',
        'kind of job nothing: ["true"], params none',
        'warning: jobs.kinds.sum.command: no program "no-such-program" is found by this user',
    ]
    assert "geheim" not in done.stdout


def test_check_does_not_show_the_token(tmp_path: Path) -> None:
    """Neither a right one nor a wrong one."""
    done = run("check", HVD_TOKEN="geheim" * 4)
    assert ["token", "***", "HVD_TOKEN"] in [line.split() for line in done.stdout.splitlines()]
    assert "geheim" not in done.stdout
    done = run("check", HVD_TOKEN="geheim")
    assert done.returncode == 2
    assert "geheim" not in done.stdout + done.stderr


def test_check_says_that_no_file_is_named() -> None:
    """A file that lies in the folder is not read by itself."""
    assert run("check").stdout.startswith("file: none, HVD_CONFIG names no file\n")


@pytest.mark.parametrize("command", ["check", "status", "snapshot"])
def test_wrong_settings_end_with_2_and_all_problems_on_stderr(command: str) -> None:
    """No traceback, nothing on stdout."""
    done = run(command, HVD_WORKERS="none", HVD_THREADS="0")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "hvd: 2 problems in the settings:",
        '  threads (HVD_THREADS) is "0": it must be a whole number from 1 to 256',
        '  workers (HVD_WORKERS) is "none": it must be a whole number from 1 to 1024, in plain digits',
    ]


def test_with_url_the_settings_do_not_matter() -> None:
    """Another daemon can be asked from a machine without any."""
    with daemon(HEALTHY) as url:
        assert run("status", "--url", url, HVD_WORKERS="none").returncode == 0


def test_snapshot_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    """For eyes, or on one line; control characters stay escaped."""
    with daemon(HEALTHY) as url:
        assert main(["snapshot", "--url", url]) == 0
        pretty = capsys.readouterr().out
        assert main(["snapshot", "--url", url, "--compact"]) == 0
        compact = capsys.readouterr().out
    assert json.loads(pretty) == json.loads(compact) == HEALTHY
    assert pretty.startswith('{\n  "system_health": "healthy",\n')
    assert compact.count("\n") == 1
    assert "\x1b" not in pretty + compact


def test_status_prints_the_panel_and_ends_with_the_health(capsys: pytest.CaptureFixture[str]) -> None:
    """0 for healthy, 3 for anything else."""
    for health, code in (("healthy", 0), ("degraded", 3), ("unhealthy", 3), (None, 3)):
        with daemon(HEALTHY | {"system_health": health}) as url:
            assert main(["status", "--url", url]) == code
        text = capsys.readouterr().out
        assert text.startswith("┌─ System Health ─")
        assert (health or "-") in text
        assert "1,250" in text


def test_status_asks_the_daemon_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bound to all addresses, it is reached at the local one; two intervals old is not stale."""
    with daemon(HEALTHY | {"observed_age_seconds": 20.5}) as url:
        monkeypatch.setenv("HVD_BIND", url.replace("http://127.0.0.1", "0.0.0.0"))
        monkeypatch.setenv("HVD_INTERVAL", "10")
        assert main(["status"]) == 0
        assert "stale" not in capsys.readouterr().out
        monkeypatch.setenv("HVD_INTERVAL", "2")
        assert main(["status"]) == 0
        assert "stale, observed 20s ago" in capsys.readouterr().out


def test_a_bind_to_port_0_names_no_daemon_to_ask() -> None:
    """Only the daemon knows its port then."""
    done = run("status", HVD_BIND="127.0.0.1:0", HVD_INSTANCE="a")
    assert done.returncode == 2
    assert "use --url" in done.stderr


def test_status_falls_back_to_ascii() -> None:
    """Where stdout can't encode the box."""
    with daemon(HEALTHY) as url:
        done = run("status", "--url", url, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("+- System Health -")


@pytest.mark.parametrize("command", ["status", "snapshot"])
def test_no_daemon_is_one_line_and_1(command: str, tmp_path: Path) -> None:
    """With the address and what to do."""
    done = run(command, "--url", f"unix:{tmp_path}/none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"hvd: no daemon answers at unix:{tmp_path}/none (no such file or directory): "
        "start the daemon, or name its address with --url\n"
    )


@pytest.mark.parametrize(
    "args", [["status", "--url", "ftp://x"], ["status", "--timeout", "0"], ["status", "--timeout", "nan"], [], ["x"]]
)
def test_wrong_arguments_end_with_2(args: list[str]) -> None:
    """As argparse does, without a traceback."""
    done = run(*args)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: hvd")
    assert "Traceback" not in done.stderr


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    """The help has examples and the exit codes."""
    for option, words in (("--version", [f"hvd {__version__}\n"]), ("--help", ["examples:", "exit codes:", "--url"])):
        with pytest.raises(SystemExit) as ended:
            main([option])
        assert ended.value.code == 0
        text = capsys.readouterr().out
        assert all(word in text for word in words)


@pytest.mark.parametrize(("target", "code"), [("| true", 141), ("> /dev/full", 1), (">&-", 0)])
def test_output_that_nobody_takes_is_no_traceback(target: str, code: int) -> None:
    """A pipe that closes early, a full disk, no stdout at all."""
    # The sleep lets `true` end first: a pipe takes 64 KB without a reader noticing.
    script = f"(sleep 0.3; {sys.executable} -m hvd check; echo $? >&2) {target}"
    if target != "| true":
        script = f"{sys.executable} -m hvd check {target}; echo $? >&2"
    done = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, timeout=60, check=False)
    *said, ended = done.stderr.splitlines()
    assert int(ended) == code
    assert said == (["hvd: the output can't be written (No space left on device)"] if code == 1 else [])
