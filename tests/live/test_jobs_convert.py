"""The kind `convert` of deploy/hvd.toml with the real qemu-img: progress on /ws, a right result, a cancelled one."""

import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hvd.jobs.states import CANCELLED, COMPLETED, RUNNING
from tests.support.jobs import JobsDaemon
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until
from tests.support.ws import RawWebSocket

MB = 1024 * 1024
SIZE = 200 * MB
RATE = "50M"  # bytes a second that qemu-img may write, so that there is a way to be half of


def shipped(roots: Path) -> dict[str, dict[str, Any]]:
    """The kinds of deploy/hvd.toml, as an operator gets them who takes the # away, with another folder."""
    text = (ROOT / "deploy" / "hvd.toml").read_text()
    kinds = re.sub(r"^#(?=\[jobs\.kinds|\w[\w.]* = )", "", text[text.index("#[jobs.kinds.") :], flags=re.MULTILINE)
    found = tomllib.loads(kinds.replace('"/srv/images"', f'"{roots}"'))["jobs"]["kinds"]
    assert sorted(found) == ["checksum", "convert"]
    return dict(found)


def slowed(kinds: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same, with a limit on what qemu-img writes in a second."""
    command = kinds["convert"]["command"]
    assert command[:2] == ["qemu-img", "convert"]
    return {**kinds, "convert": {**kinds["convert"], "command": [*command[:2], "-r", RATE, *command[2:]]}}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a raw image: one megabyte of noise again and again, each block told apart by its number."""
    folder = tmp_path_factory.mktemp("images").resolve()
    noise = os.urandom(MB - 8)
    with (folder / "disk.raw").open("wb") as file:
        for number in range(SIZE // MB):
            file.write(number.to_bytes(8, "big") + noise)
    return folder


def updates(client: RawWebSocket, job_id: str, *, until_progress: float) -> list[dict[str, Any]]:
    """What /ws tells of the job, until it is that far or over."""
    found = []
    while not found or (found[-1]["progress"] < until_progress and found[-1]["status"] in ("pending", RUNNING)):
        message = client.message("")
        if message["type"] == "job_update" and message["data"]["id"] == job_id:
            found.append(message["data"])
    return found


def test_an_image_is_converted(tmp_path: Path, images: Path) -> None:
    """Its progress rises on /ws, and qemu-img finds the result to be the same."""
    source, target = images / "disk.raw", images / "disk.qcow2"
    with JobsDaemon(tmp_path, slowed(shipped(images))) as server, RawWebSocket(server.address) as client:
        (job_id,) = server.submit("convert", source=str(source), target=str(target))
        seen = updates(client, job_id, until_progress=101)
        progress = [update["progress"] for update in seen]
        assert progress == sorted(progress)
        assert len({percent for percent in progress if 0 < percent < 100}) >= 2, progress
        statuses = [update["status"] for update in seen]
        assert list(dict.fromkeys(statuses)) in (["pending", RUNNING, COMPLETED], [RUNNING, COMPLETED])
        job = server.wait_status(job_id, COMPLETED)
        assert (job["progress"], job["exit_code"], job["attempt"], job["error"]) == (100.0, 0, 1, None)
        assert job["params"] == {"source": str(source), "target": str(target), "format": "qcow2"}
        assert job["output"][-1].strip() == "(100.00/100%)"
        assert 0.5 < job["duration_seconds"] < 60 * PATIENCE
        compared = subprocess.run(
            ["qemu-img", "compare", str(source), str(target)], capture_output=True, text=True, check=False
        )
        assert (compared.returncode, compared.stdout) == (0, "Images are identical.\n"), compared.stderr
        told = subprocess.run(["qemu-img", "info", str(target)], capture_output=True, text=True, check=True).stdout
        assert "file format: qcow2" in told

        again = server.post("/jobs/submit", {"kind": "convert", "params": job["params"]})
        assert again.status == 422, "the target exists by now"
        assert [error["pointer"] for error in again.json()["errors"]] == ["/params/target"]
        (checked,) = server.submit("checksum", file=str(target))
        line = server.wait_status(checked, COMPLETED)["output"]
        assert line == [f"{sha256(target)}  {target}"]
        server.assert_books_agree()
        assert not server.alarms


def sha256(path: Path) -> str:
    return subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout.split()[0]


def test_a_conversion_is_cancelled_half_way(tmp_path: Path, images: Path) -> None:
    """qemu-img ends, the job is cancelled, and its progress stays where it was."""
    target = images / "half.raw"
    with JobsDaemon(tmp_path, slowed(shipped(images))) as server, RawWebSocket(server.address) as client:
        (job_id,) = server.submit("convert", source=str(images / "disk.raw"), target=str(target), format="raw")
        at = updates(client, job_id, until_progress=20)[-1]
        assert 20 <= at["progress"] < 100, at
        assert server.post(f"/jobs/{job_id}/cancel", {}).status == 202
        job = server.wait_status(job_id, CANCELLED, seconds=5)
        assert at["progress"] <= job["progress"] < 100
        assert job["exit_code"] == -signal.SIGTERM
        assert job["attempt"] == 1, "cancelled is not failed: no other attempt"
        server.wait_no_job_process(1)
        last = updates(client, job_id, until_progress=101)[-1]
        assert (last["status"], last["progress"]) == (CANCELLED, job["progress"])
        until(lambda: server.snapshot()["jobs_cancelled"] == 1, "it is counted")
        server.assert_books_agree()
        assert not server.alarms
