"""What a daemon tells to the outside: no secret, and nothing that others wrote as it is.

Hostile texts come by every way in, and every way out is looked at. `/jobs/{id}/output` alone answers bytes as a job has
printed them, as text that browsers may not take for anything else; `hvd jobs output` does so where no terminal shows
them (test_jobs_output.py).
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from tests.support.http import Connection, Response, connect
from tests.support.jobs import JobsDaemon, post
from tests.support.server import ROOT, Server
from tests.support.waiting import PATIENCE, until

ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "a\x1b[2J\x9b\u202e\u2066\u200f\u061c\x7f\x00b"
QUOTED = "".join(f"%{byte:02x}" for byte in HOSTILE.encode())
RAW = HOSTILE.encode().decode("latin-1")
IN_HEADER = "a\x9b" + "\u202e\u2066\u200f\u061cb".encode().decode("latin-1")  # what a parser takes there
SECRETS = {
    "HVD_TOKEN": "t0ken-of-32-characters-in-a-row!",
    "NOTIFY_SOCKET": "@hvd-test-notify",
    "CREDENTIALS_DIRECTORY": "/nowhere/credentials",
    "SECRET_KEY": "the-key-of-an-app",
    "WATCHDOG_USEC": "86400000001",
}
BEARER = {"Authorization": f"Bearer {SECRETS['HVD_TOKEN']}"}
PRINT = f"import os, sys; os.write(1, {HOSTILE.encode()!r} + b'\\n'); print(*map('='.join, os.environ.items()))"
KINDS = {
    "speak": {"command": [sys.executable, "-c", PRINT]},
    "stay": {"command": ["sleep", "600"]},
    "fail": {"command": ["/nowhere/\u00fc"]},
}
PAGES = (
    *("/health", "/status", "/api/v1/snapshot", "/api/v1/history", "/metrics", "/api/v1/stacks", "/", "/openapi.json"),
    *("/jobs", "/jobs/kinds", "/jobs/query?all=true"),
)
COMMANDS = ("status", "top --once", "list", "stacks --all", "snapshot", "jobs list", "jobs kinds")


class Daemon(JobsDaemon):
    """One of which everything is asked with its token."""

    def connection(self, timeout: float = 30) -> Connection:
        return Bearing(self.address, timeout)


class Bearing(Connection):
    """Sends the token."""

    def request(self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Response:
        return super().request(method, path, BEARER | (headers or {}), body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """With an access log; slow requests are told of at once."""
    folder = tmp_path_factory.mktemp("ways-out")
    logs = (
        "--access-logfile",
        str(folder / "access.log"),
        "--access-logformat",
        '%(r)s "%(f)s" "%(a)s" %({x-hostile}i)s',
    )
    settings = {"workers": 1, "threads": 4, "log_level": "debug", "watch_slow_request_seconds": 0.2}
    with Daemon(folder, KINDS, arguments=logs, environ=SECRETS, **settings) as server:
        server.wait_status(server.submit("speak")[0], "completed")
        server.wait_status(server.submit("fail")[0], "failed")
        server.wait_status(server.submit("stay")[0], "running")
        yield server


def flood(server: Daemon) -> list[Response]:
    """Hostile texts by each part of a request, whatever becomes of it, and of a worker that dies over one."""
    odd: dict[str, str] = {"X-Hostile": IN_HEADER, "User-Agent": IN_HEADER, "Referer": IN_HEADER}
    answers = [
        server.get(path, **odd) for path in (f"/{QUOTED}", f"/status-of/200?{QUOTED}={QUOTED}", f"/jobs/{QUOTED}")
    ]
    answers += [server.get(f"/jobs?{name}={QUOTED}") for name in ("status", "kind", "limit", "before", QUOTED)]
    for name in ("Accept", "Origin", "Host", "Sec-WebSocket-Key", "Range", "Idempotency-Key", "Authorization"):
        answers.extend(
            server.get("/ws" if "Sec" in name else "/jobs", **{**odd, name: value}) for value in (IN_HEADER, RAW)
        )
    bodies: tuple[object, ...] = (
        {"kind": HOSTILE},
        {"kind": "speak", "name": HOSTILE},
        {"kind": "speak", HOSTILE: 1, "params": {HOSTILE: HOSTILE}},
        [HOSTILE],
    )
    for path in ("/jobs/submit", "/jobs/query", "/jobs/cancel"):
        answers += [server.post(path, body, **odd) for body in bodies]
    for line in (f"GET /{RAW} HTTP/1.1", f"{RAW} / HTTP/1.1", f"GET / HTTP/{RAW}"):
        with connect(server.address) as sock:
            sock.sendall(f"{line}\r\nHost: x\r\n\r\n".encode("latin-1"))
            sock.shutdown(1)
            while data := sock.recv(65536):
                answers.append(Response(0, {}, data.replace(b"\r\n", b"\n")))
    with connect(server.address) as slow:
        slow.sendall(f"GET /slow/{QUOTED}?s=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
        until(lambda: " takes " in server.log, "it is told of as slow")
        (worker,) = server.pids("worker")
        os.kill(worker, signal.SIGKILL)
        until(lambda: server.pids("worker") not in ([], [worker]) and server.is_healthy(), "another one is there", 30)
    return answers


def test_nothing_of_what_others_wrote_comes_out_as_it_is(server: Daemon) -> None:
    """In answers and their heads, in what commands print, in both logs."""
    answers = flood(server)
    ids = [job["id"] for job in server.get("/jobs").json()["jobs"]]
    pages = (*PAGES, *(f"/jobs/{job}" for job in ids), *(f"/jobs/logs/{job}" for job in ids))
    with Connection(server.admin_address) as admin, server.connection() as service:
        answers += [asked.get(page, **BEARER) for page in pages for asked in (service, admin)]
    outs: dict[str, str] = {}
    for number, answer in enumerate(answers):
        outs[f"answer {number}"] = answer.body.decode() + "".join(f"{k}: {v}\n" for k, v in answer.headers.items())
    for command in (*COMMANDS, f"jobs show {ids[-1]}"):
        outs[command] = run(server, command)
    outs["log"], outs["access log"] = server.log, (server.folder / "access.log").read_text()
    assert {where: ODD.findall(text) for where, text in outs.items() if ODD.search(text)} == {}
    for where in ("log", "access log", "top --once"):
        assert "\\u202e" in outs[where] or "\\x9b" in outs[where] or "\\x1b" in outs[where], (
            f"{where} has nothing of it"
        )
    raw = server.get(f"/jobs/{ids[-1]}/output")
    assert HOSTILE.encode() in raw.body
    assert (raw.headers["content-type"], raw.headers["x-content-type-options"]) == (
        "text/plain; charset=utf-8",
        "nosniff",
    )


def run(server: Daemon, command: str, environ: Mapping[str, str] = {}) -> str:
    """What `hvd` prints, to both ends."""
    url = [] if command == "list" else ["--url", f"unix:{server.admin_address}"]
    words = [sys.executable, "-m", "hvd", *command.split(), *url]
    own = {name: text for name, text in os.environ.items() if not name.startswith("HVD_")}
    own |= {"PYTHONPATH": str(ROOT), "HVD_TOKEN": SECRETS["HVD_TOKEN"], "PYTHONUTF8": "1", **environ}
    done = subprocess.run(words, env=own, cwd="/", capture_output=True, timeout=60 * PATIENCE, check=False)
    return done.stdout.decode() + done.stderr.decode()


def test_no_secret_is_told(server: Daemon) -> None:
    """Neither to who asks, nor in the log, nor to who looks at processes; nor the database's place to a stranger."""
    texts = {}
    for process in server.processes():
        if process.pid == server.pid or process.pid in server.pids("worker"):
            texts[f"title of {process.pid}"] = " ".join(process.cmdline())
        else:  # what jobs are of the same user as
            texts[f"{process.pid}: {process.cmdline()}"] = f"{process.environ()} {process.cmdline()}"
    runner = psutil.Process(server.runner_pid)
    assert len(runner.children()) == 2, "the guard and a job"
    for child in runner.children():
        texts[f"child {child.pid}"] = f"{child.environ()} {child.cmdline()}"
    ids = [job["id"] for job in server.get("/jobs?kind=speak").json()["jobs"]]
    texts["a job's environment"] = server.get(f"/jobs/{ids[0]}/output").body.decode()
    assert "HVD_JOB=" in texts["a job's environment"]
    with Connection(server.admin_address) as admin:
        for page in PAGES:
            texts[page] = admin.get(page, **BEARER).body.decode()
            assert "hvd.sqlite3" not in texts[page], f"{page} tells where the database is"
    texts["log"] = server.log
    told = {where: name for where, text in texts.items() for name, secret in SECRETS.items() if secret in text}
    assert told == {}


def test_a_database_that_can_not_be_reached_is_named_in_the_log_alone(tmp_path: Path) -> None:
    """There without its password."""
    url = "postgresql://user-x:geheim-pass@127.0.0.1:1/base-x"
    with Server(
        tmp_path, workers=1, interval=0.2, environ={"HVD_CONFIG": config(tmp_path), "HVD_DATABASE_URL": url}
    ).start(ready=False) as server:
        until(lambda: "base-x" in server.log, "it is told in the log", 30)
        until(server.admin_answers, "the admin server answers", 30)
        assert "geheim-pass" not in server.log
        for page in ("/health", "/api/v1/snapshot", "/metrics", "/jobs", "/jobs/submit"):
            body = json.dumps({"kind": "stay"}).encode()
            with Connection(server.admin_address) as admin:
                answer = admin.get(page) if "submit" not in page else post(admin, page, json.loads(body))
            for part in ("geheim-pass", "user-x", "base-x", "127.0.0.1:1/"):
                assert part.encode() not in answer.body, f"{page}: {part}"


def config(folder: Path) -> str:
    path = folder / "hvd.toml"
    path.write_text('[jobs.kinds.stay]\ncommand = ["sleep", "600"]\n')
    return str(path)
