"""A daemon that root starts, with workers of another user."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.jobs import JobsDaemon
from tests.support.python import python_for
from tests.support.waiting import until
from tests.support.ws import RawWebSocket

NOBODY = pwd.getpwnam("nobody")
KINDS = {"who": {"command": ["sh", "-c", "id -un; echo $HOME $USER $LOGNAME ${{TMPDIR-none}}; mktemp -u"]}}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start workers of another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that every user may enter, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="hvd-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_nothing_but_the_master_is_root(folder: Path) -> None:
    """Companions have the workers' user; jobs have that user's surroundings, and none of root's."""
    python = python_for(NOBODY.pw_uid, folder)
    state, private = folder / "state", folder / "private"
    private.mkdir(mode=0o700)
    state.mkdir()
    os.chown(state, NOBODY.pw_uid, NOBODY.pw_gid)
    server = JobsDaemon(
        folder,
        KINDS,
        arguments=("--user", "nobody", "--group", str(NOBODY.pw_gid)),
        environ={**python.environ, "HOME": "/root", "USER": "root", "LOGNAME": "root", "TMPDIR": str(private)},
    )
    server.command[0] = python.program
    with server, RawWebSocket(server.address) as client:
        assert client.message()["type"] == "metrics"
        (job,) = server.submit("who")
        server.wait_ended()
        who, surroundings, temporary = server.job(job)["output"]
        assert who == "nobody"
        assert surroundings == f"{NOBODY.pw_dir} nobody nobody none"
        assert temporary.startswith("/tmp/")
        until(lambda: len(server.processes()) == 6, "master, two workers, aggregator, job runner, guard are left")
        users = {process.pid: process.uids() for process in server.processes()}
        roots = [pid for pid, uids in users.items() if 0 in uids]
        assert roots == [server.pid]
        assert {psutil.Process(pid).gids() for pid in users if pid != server.pid} == {(NOBODY.pw_gid,) * 3}
