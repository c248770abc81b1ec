"""The OpenAPI document against the daemon that serves it: every operation is called, and answers as it says."""

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from hvd.jobs.ids import new_id
from tests.support.http import Connection, Response
from tests.support.jobs import JobsDaemon, Json, shell
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

LEVEL = {"type": "int", "min": 0, "max": 9, "default": 1}
KINDS: dict[str, Any] = {
    "echo": {
        "command": ["echo", "{word}", "{level}"],
        "params": {"word": {"type": "choice", "choices": ["a", "b"]}, "level": LEVEL},
    },
    "label": {"command": ["echo", "{label}"], "params": {"label": {"type": "string", "pattern": "[a-z]{1,8}"}}},
    "endless": {"command": ["sleep", "300"], "concurrency": 2},
    "half": {"command": shell('echo "50 %"; sleep 300'), "progress": "([0-9]+) %"},
}
BODIES: dict[str, list[Any]] = {
    "/jobs/submit": [
        {"kind": "echo", "params": {"word": "a"}},
        [{"kind": "label", "params": {"label": "abc"}, "name": "n"}],
        {"jobs": [{"kind": "echo", "params": {"word": "b", "level": 3}}]},
    ],
    "/jobs/query": [{"all": True}, {"job_ids": [new_id()]}, {"status": "failed", "limit": 5}],
    "/jobs/cancel": [{"ids": [new_id()], "all": False}, {"all": True, "status": "pending", "limit": 1}],
}
"""Good bodies, by path."""
QUERIES = {("/api/v1/pins", "put"): "?key=orders_total", ("/api/v1/pins", "delete"): "?key=orders_total"}
"""What operations need in the query."""


class Api:
    """A daemon's API at one of its addresses, and what its document says of it."""

    def __init__(self, daemon: JobsDaemon, *, admin: bool) -> None:
        self.daemon = daemon
        self.address = daemon.admin_address if admin else daemon.address
        self.document: Json = self.ask("get", "/openapi.json").json()
        self.seen: set[tuple[str, str, int]] = set()

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers} if data else headers
        with Connection(self.address) as connection:
            return connection.request(method.upper(), path, sent, data)

    def call(self, method: str, template: str, path: str = "", body: object = None, **headers: str) -> Response:
        """Call an operation; its answer is one of those in the document, and fits its schema."""
        answer = self.ask(method, path or template, body, **headers)
        where = f"{method} {path or template} {body}: {answer.status} {answer.body[:500]!r}"
        responses = self.document["paths"][template][method]["responses"]
        assert str(answer.status) in responses, where
        content = responses[str(answer.status)].get("content", {})
        if method != "head" and answer.status not in (101, 204):
            media_type = answer.headers["content-type"].removesuffix("; charset=utf-8")
            assert media_type in content, where
            if media_type.endswith("json"):
                schema = {**content[media_type]["schema"], "components": self.document["components"]}
                errors = [error.message for error in Draft202012Validator(schema).iter_errors(answer.json())]
                assert not errors, f"{where}: {errors}"
        self.seen.add((template, method, answer.status))
        return answer


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsDaemon]:
    settings = {"admin_bind": "127.0.0.1:0", "jobs_queue_limit": 100_000}
    with JobsDaemon(tmp_path_factory.mktemp("openapi"), KINDS, **settings) as server:
        yield server
        assert not [line for line in server.alarms if "Invalid" not in line]


@pytest.fixture(params=["service", "admin"])
def api(daemon: JobsDaemon, request: pytest.FixtureRequest) -> Api:
    return Api(daemon, admin=request.param == "admin")


def jobs_of_all_statuses(daemon: JobsDaemon) -> dict[str, str]:
    """Ids by status."""
    (done,), (running,) = daemon.submit("echo", word="a"), daemon.submit("half")
    pending = daemon.submit("endless", 4)[-1]
    daemon.wait_status(done, "completed")
    until(lambda: daemon.job(running)["progress"] == 50, "it has said half")
    return {"completed": done, "running": running, "pending": pending}


def test_every_operation_answers_as_the_document_says(api: Api) -> None:
    """Each with good parameters, and each of a job with a job of each status; HEAD too, and without what it needs."""
    validate(api.document, cls=OpenAPIV31SpecValidator)
    jobs = jobs_of_all_statuses(api.daemon)
    for template, methods in api.document["paths"].items():
        for method, operation in methods.items():
            paths = [template + QUERIES.get((template, method), "")]
            if "{job_id}" in template:
                paths = [template.replace("{job_id}", name) for name in (*jobs.values(), new_id(), "x")]
            for path in paths:
                for body in BODIES.get(template, [None]) if method == "post" else [None]:
                    api.call(method, template, path, body)
            call = partial(api.call, method, template, paths[0])
            call(Accept="image/png")
            call(Accept="nonsense")
            if method == "post" and "requestBody" in operation:
                assert api.call(method, template, body={"nonsense": 1}).status == 422
                assert call().status == 415
    successes = {(template, method) for template, method, status in api.seen if status < 400}
    operations = {(template, method) for template, methods in api.document["paths"].items() for method in methods}
    assert operations - successes == {("/ws", "get")}
    with RawWebSocket(api.address) as client:
        assert client.status == 101
    api.call("post", "/jobs/cancel", body={"all": True})


def test_parameters_are_taken_as_the_document_says(api: Api) -> None:
    """One after the other, each with the least and the most that its schema allows."""
    (job_id,) = api.daemon.submit("echo", word="b")
    api.daemon.wait_status(job_id, "completed")
    for template, methods in api.document["paths"].items():
        for parameter in methods.get("get", {}).get("parameters", ()):
            schema = parameter["schema"]
            items = schema.get("items", {}).get("enum", [])
            values = [schema.get("minimum"), schema.get("maximum"), *schema.get("enum", ()), *items, ",".join(items)]
            if parameter["in"] == "query":
                # the greatest time that a schema allows is still to come: nothing is kept of it
                allowed = (200, 204, 404, 426, *([400] if parameter["name"] == "from" else []))
                for value in filter(None, values):
                    path = f"{template.replace('{job_id}', job_id)}?{parameter['name']}={value}"
                    assert api.call("get", template, path).status in allowed, path
    assert api.call("get", "/jobs/{job_id}/output", f"/jobs/{job_id}/output", Range="bytes=0-0").status == 206
    assert api.call("get", "/jobs/{job_id}/output", f"/jobs/{job_id}/output", Range="bytes=99-").status == 416
    keyed = partial(api.call, "post", "/jobs/submit", Idempotency_Key=f"key {api.address}")
    first, again = (keyed(body=BODIES["/jobs/submit"][0]) for _ in range(2))
    assert first.json() == again.json()
    assert keyed(body=BODIES["/jobs/submit"][1]).status == 422


@pytest.mark.parametrize(
    ("admin", "options"),
    [(False, ("--phases", "coverage,fuzzing", "--max-examples", "8")), (True, ("--phases", "fuzzing", "-n", "5"))],
    ids=["service", "admin"],
)
def test_schemathesis_finds_no_fault(daemon: JobsDaemon, tmp_path: Path, admin: bool, options: tuple[str, ...]) -> None:
    """On every operation: no 5xx, answers as documented, nothing invalid taken, other methods refused with Allow.

    It is not asked whether all that fits a schema is taken: a range may be beyond the output, a key be used.
    """
    host, port = daemon.admin_address if admin else daemon.address
    program = Path(sys.executable).with_name("schemathesis")
    command = [program, "run", f"http://{host}:{port}/openapi.json", *options, "--seed", "1", "--no-shrink"]
    command += ["--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all", "--warnings", "off"]
    for _ in range(2):
        done = subprocess.run(
            [*command, "--no-color"], cwd=tmp_path, capture_output=True, text=True, timeout=120 * PATIENCE, check=False
        )
        # of a machine so busy that the database is locked for seconds, 503 is the right answer
        if "[503]" not in done.stdout or "database is locked" not in daemon.log:
            break
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:] + daemon.log[-4000:]
    document = Api(daemon, admin=admin).document
    number = sum(map(len, document["paths"].values())) - 1  # it leaves out GET of the document, which it has by then
    assert f"{number} selected / {number} total" in done.stdout
