"""Submissions that mean harm: each is refused with the place that is wrong, and nothing of it is executed."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hvd.daemon.clients.arrival import ENOUGH
from hvd.jobs.states import COMPLETED
from tests.support.http import Response
from tests.support.jobs import JobsDaemon, post
from tests.support.waiting import until

MARK = 'touch "$0/executed"'
TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a root that jobs may read, and what lies outside of it."""
    folder = tmp_path_factory.mktemp("hostile").resolve()
    for name in ("root", "root/sub", "root-evil", "outside"):
        (folder / name).mkdir()
    for name in ("root/file", "root/-rf", "root-evil/file", "outside/secret"):
        (folder / name).write_text("secret\n")
    (folder / "root/link").symlink_to(folder / "outside/secret")
    (folder / "root/folder-link").symlink_to(folder / "outside")
    (folder / "root/loop").symlink_to(folder / "root/loop")
    os.mkfifo(folder / "root/fifo")
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[JobsDaemon]:
    """Each kind's job would leave a mark, if it were executed."""
    mark = ["sh", "-c", MARK, str(folder)]
    kinds: dict[str, dict[str, Any]] = {
        "path": {"command": [*mark, "{file}"], "params": {"file": {"type": "path", "roots": [str(folder / "root")]}}},
        "new": {
            "command": [*mark, "{file}"],
            "params": {"file": {"type": "path", "roots": [str(folder / "root")], "exists": False}},
        },
        "text": {"command": [*mark, "{text}"], "params": {"text": {"type": "string", "pattern": "[a-z-]*"}}},
        "number": {"command": [*mark, "{n}"], "params": {"n": {"type": "int", "min": 0, "max": 9}}},
        "choice": {"command": [*mark, "{c}"], "params": {"c": {"type": "choice", "choices": ["a", "b"]}}},
    }
    with JobsDaemon(folder, kinds) as server:
        yield server
        assert_right_ones_are_executed(server, folder)


def assert_right_ones_are_executed(server: JobsDaemon, folder: Path) -> None:
    """Without what is wrong with the others, each kind's job is taken and executed, and leaves its mark."""
    file, new = str(folder / "root" / "file"), str(folder / "root" / "sub" / ".." / "new")
    right = {
        "path": {"file": file},
        "new": {"file": new},
        "text": {"text": "a"},
        "number": {"n": 9},
        "choice": {"c": "b"},
    }
    for kind, params in right.items():
        (job_id,) = server.submit(kind, **params)
        server.wait_status(job_id, COMPLETED)
        assert (folder / "executed").exists()
        (folder / "executed").unlink()


@pytest.fixture(autouse=True)
def nothing_is_executed(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test of this module: no job was taken, and no command ran."""
    yield
    if "server" in request.fixturenames:
        server, folder = request.getfixturevalue("server"), request.getfixturevalue("folder")
        assert server.rows("SELECT * FROM hvd_jobs") == []
        assert not (folder / "executed").exists()
        server.wait_ready()
        assert not server.alarms


def pointers(answer: Response) -> list[str]:
    """Where it says that something is wrong; each with words, in a problem (RFC 9457)."""
    assert answer.headers["content-type"].startswith("application/problem+json")
    told = answer.json()
    assert (told["status"], told["accepted"], told["job_ids"]) == (answer.status, 0, [])
    assert told["detail"]
    assert all(error["detail"] for error in told["errors"])
    return [error["pointer"] for error in told["errors"]]


PATHS = [
    *("-rf", "--output=x", "file", "./file", "", "~", "root/file"),
    *("/etc/passwd", "/", "{root}", "{root}/", "{root}/.", "{root}/sub", "{root}/fifo", "{root}/none"),
    *("{root}/../outside/secret", "{root}/sub/../../outside/secret", "{root}/../root-evil/file", "{root}-evil/file"),
    *("{root}/link", "{root}/folder-link/secret", "{root}/folder-link/../outside/secret", "{root}/loop"),
    *("/proc/self/root{root}/../outside/secret", "{root}/file\0", "\0{root}/file", "{root}/file\n", "{root}/fi\x1ble"),
    *("{root}/" + "a" * 5000, "{root}/" + "a/../" * 2000 + "file/", "file://{root}/file", "//evil/{root}/file"),
    *(None, 1, 1.5, True, [], ["{root}/file"], {}, {"path": "{root}/file"}),
]


def test_paths_out_of_the_root(server: JobsDaemon, folder: Path) -> None:
    """By .., by links, by names that only begin like it, by NUL bytes, by other types than texts."""
    root = str(folder / "root")
    with server.connection() as connection:
        for path in PATHS:
            value = json.loads(json.dumps(path).replace("{root}", root))
            answer = post(connection, "/jobs/submit", {"kind": "path", "params": {"file": value}})
            assert answer.status == 422, (path, answer.body)
            assert pointers(answer) == ["/params/file"], path
            for secret in (root, "outside"):
                assert secret not in answer.json()["detail"], "it tells no folder of the operator's"


def test_files_to_be_made_out_of_the_root(server: JobsDaemon, folder: Path) -> None:
    """Not over a file that there is, not through a link, not in a folder that there isn't."""
    root = folder / "root"
    wrong = [root / "file", root / "link", root / "folder-link/new", root / "none/new", root / "../outside/new"]
    with server.connection() as connection:
        for path in [*map(str, wrong), f"{root}/sub/../../new", f"{root}/new\0", "-o", "/tmp/new"]:
            answer = post(connection, "/jobs/submit", {"kind": "new", "params": {"file": path}})
            assert answer.status == 422, (path, answer.body)
            assert pointers(answer) == ["/params/file"], path


@pytest.mark.parametrize(
    ("kind", "params", "where"),
    [
        ("text", {"text": "--upload-file"}, ["/params/text"]),
        ("text", {"text": "-"}, ["/params/text"]),
        ("text", {"text": "a;id"}, ["/params/text"]),
        ("text", {"text": "$(id)"}, ["/params/text"]),
        ("text", {"text": "a\n"}, ["/params/text"]),
        ("text", {"text": "a\0b"}, ["/params/text"]),
        ("text", {"text": "\ud800"}, ["/params/text"]),
        ("text", {"text": "a" * 256}, ["/params/text"]),
        ("text", {"text": ["a"]}, ["/params/text"]),
        ("text", {"text": None}, ["/params/text"]),
        ("text", {}, ["/params/text"]),
        ("text", {"text": "a", "other": "b", "a/b~c": 1}, ["/params/other", "/params/a~1b~0c"]),
        ("number", {"n": -1}, ["/params/n"]),
        ("number", {"n": 10}, ["/params/n"]),
        ("number", {"n": True}, ["/params/n"]),
        ("number", {"n": 1.0}, ["/params/n"]),
        ("number", {"n": "1"}, ["/params/n"]),
        ("number", {"n": 10**90}, ["/params/n"]),
        ("choice", {"c": "c"}, ["/params/c"]),
        ("choice", {"c": "A"}, ["/params/c"]),
        ("choice", {"c": "-a"}, ["/params/c"]),
        ("choice", {"c": 0}, ["/params/c"]),
        ("choice", [], ["/params"]),
        ("choice", None, ["/params"]),
        ("unknown", {}, ["/kind"]),
        ("", {}, ["/kind"]),
        ("__class__", {}, ["/kind"]),
        ("../path", {}, ["/kind"]),
        ("path\0", {}, ["/kind"]),
        (None, {}, ["/kind"]),
        (["path"], {}, ["/kind"]),
    ],
)
def test_values_that_no_kind_takes(server: JobsDaemon, kind: object, params: object, where: list[str]) -> None:
    """What begins an option, what a shell would read, what has another type: the pointer names it, in a batch too."""
    job = {"kind": kind, "params": params}
    answer = server.post("/jobs/submit", job)
    assert answer.status == 422, answer.body
    assert sorted(pointers(answer)) == sorted(where)
    batch = server.post("/jobs/submit", {"jobs": [job, job]})
    assert batch.status == 422
    assert batch.json()["rejected"] == 2
    assert sorted(pointers(batch)) == sorted(f"/jobs/{index}{each}" for index in (0, 1) for each in where)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (None, [""]),
        ([], [""]),
        ("text", [""]),
        (1, [""]),
        ({}, ["/kind", "/params"]),
        ({"kind": "text"}, ["/params"]),
        ({"kind": "text", "params": {"text": "a"}, "command": ["id"]}, ["/command"]),
        ({"kind": "text", "params": {"text": "a"}, "env": {}, "cwd": "/"}, ["/cwd", "/env"]),
        ({"kind": "text", "params": {"text": "a"}, "name": "a\x1b[2J"}, ["/name"]),
        ({"kind": "text", "params": {"text": "a"}, "name": ""}, ["/name"]),
        ({"kind": "text", "params": {"text": "a"}, "name": "a" * 201}, ["/name"]),
        ({"kind": "text", "params": {"text": "a"}, "name": 1}, ["/name"]),
        ({"jobs": []}, ["/jobs"]),
        ({"jobs": {}}, ["/jobs"]),
        ({"jobs": [[], None, 1]}, ["/jobs/0", "/jobs/1", "/jobs/2"]),
        ({"jobs": [{"kind": "text", "params": {"text": "a"}}] * 1001}, ["/jobs"]),
        ({"jobs": [{"kind": "text", "params": {"text": "a"}}], "kind": "text"}, ["/kind"]),
    ],
)
def test_bodies_that_ask_for_no_job(server: JobsDaemon, body: object, where: list[str]) -> None:
    """Members that are missing, that nobody knows, or that are something else."""
    answer = server.post("/jobs/submit", body)
    assert answer.status == 422, answer.body
    assert sorted(pointers(answer)) == sorted(where)


GOOD = b'{"kind": "text", "params": {"text": "a"}}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b'{"kind": "text", "params": {"text": ' + b"[" * 40 + b"]" * 40 + b"}}", 400),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, 400),
        (b'{"kind": "text", "params": {"text": "a"}, "kind": "path"}', 400),
        (b'{"kind": "number", "params": {"n": NaN}}', 400),
        (b'{"kind": "number", "params": {"n": 1e999}}', 400),
        (b'{"kind": "number", "params": {"n": ' + b"9" * 100_000 + b"}}", 400),
        (GOOD[:-1], 400),
        (GOOD + b"x", 400),
        (b"\xff" + GOOD, 400),
        (GOOD.decode().encode("utf-16"), 400),
        (b"\0", 400),
        (b" " * (10 * 1024 * 1024) + GOOD, 413),
        (b'{"kind": "text", "params": {"text": "' + b"a" * 10 * 1024 * 1024 + b'"}}', 413),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else repr(value[:20]),
)
def test_bodies_that_are_no_json(server: JobsDaemon, body: bytes, status: int) -> None:
    """Deep, ambiguous, broken off, in another encoding, or of 10 MB: a problem that says so, at once."""
    try:
        answer = server.post("/jobs/submit", body)
    except ConnectionError:
        assert status == 413, "only what is too large may be cut off while it is sent"
        answer = announced(server, len(body))
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert len(answer.body) < 1000
    assert "body" in answer.json()["detail"]


def announced(server: JobsDaemon, length: int) -> Response:
    """The answer to a body of that length of which only so much is sent that it is worth a thread."""
    head = f"POST /jobs/submit HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\nContent-Length: {length}"
    with server.connection(10) as connection:
        return connection.exchange(head.encode() + b"\r\n\r\n" + b" " * ENOUGH)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://test"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Idempotency-Key": "a" * 256}, 400),
        ({"Idempotency-Key": "\xe9"}, 400),
    ],
)
def test_requests_that_no_client_of_ours_makes(server: JobsDaemon, headers: dict[str, str], status: int) -> None:
    """A page of another site, or a form, changes nothing: neither by a submission nor by a cancellation."""
    answer = server.post("/jobs/submit", GOOD, **headers)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"].startswith("application/problem+json")
    if status == 403:
        for path in ("/jobs/cancel", f"/jobs/{'0' * 36}/cancel"):
            assert server.post(path, {"ids": ["0" * 36]}, **headers).status == 403


def test_others_need_the_token(tmp_path: Path) -> None:
    """A daemon that other machines reach takes changes from who has HVD_TOKEN only; without one from nobody."""
    ran = tmp_path / "ran"
    kinds = {"mark": {"command": ["touch", str(ran)]}, "wait": {"command": ["sleep", "60"]}}
    job, bind = {"kind": "mark", "params": {}}, "0.0.0.0:0"
    with JobsDaemon(tmp_path, kinds, bind=bind, token=TOKEN) as server:
        for headers in (
            {},
            {"Authorization": f"Bearer {TOKEN[:-1]}"},
            {"Authorization": f"Bearer {TOKEN}x"},
            {"Authorization": "Bearer "},
            {"Authorization": f"Basic {TOKEN}"},
            {"Authorization": TOKEN},
            {"Authorization": f"Bearer {TOKEN}", "Origin": "http://evil.example"},
        ):
            for path in ("/jobs/submit", "/jobs/cancel", f"/jobs/{'0' * 36}/cancel"):
                answer = server.post(path, job, **headers)
                assert answer.status == (403 if "Origin" in headers else 401), (headers, answer.body)
                assert TOKEN not in answer.body.decode()
        assert server.rows("SELECT * FROM hvd_jobs") == []
        assert server.get("/jobs").status == 200, "looking changes nothing"
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert server.post("/jobs/submit", job, **token).status == 202
        until(ran.exists, "the job is executed")
        (waiting,) = server.post("/jobs/submit", {"kind": "wait", "params": {}}, **token).json()["job_ids"]
        assert server.post(f"/jobs/{waiting}/cancel", {}).status == 401
        assert server.post(f"/jobs/{waiting}/cancel", {}, **token).status in (200, 202)
        server.wait_ended()
        assert TOKEN not in server.log
        assert not server.alarms
    with JobsDaemon(tmp_path, kinds, bind=bind, allow_public="true", state_dir=tmp_path / "other") as server:
        answer = server.post("/jobs/submit", job, **token)
        assert answer.status == 403
        assert "HVD_TOKEN" in answer.json()["detail"]
        assert server.rows("SELECT * FROM hvd_jobs") == []
