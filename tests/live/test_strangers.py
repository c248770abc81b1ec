"""Other users of the machine, and pages of other sites: what they find, and what they have prepared."""

import os
import socket
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hvd.settings.admin_record import read_record
from tests.support.http import Connection
from tests.support.jobs import JobsDaemon, post
from tests.support.runtime import runtime_folders
from tests.support.server import SHM
from tests.unit.core.support import ended, fork, standing

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

STRANGER, GROUP = 12345, 4712
JOB = {"kind": "t", "params": {}}


class Squatted(JobsDaemon):
    """One whose names another user has taken before it starts; its service listens at a socket for everybody."""

    @property
    def block(self) -> Path:
        """Where it is: the name that it would have is the stranger's."""
        stem = f"{super().block.name}+"
        return next(SHM.glob(f"{stem}*[0-9a-f]"), SHM / stem)

    @property
    def spare(self) -> Path:
        return self.block.with_name(f"{self.block.name}~")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Squatted]:
    folder = tmp_path_factory.mktemp("strangers")
    folder.chmod(0o711)
    options = {"bind": f"unix:{folder}/sock", "admin_bind": "127.0.0.1:0", "socket_mode": "0666", "socket_group": GROUP}
    server = Squatted(folder, {"t": {"command": ["true"]}}, workers=1, **options)
    name = f"hvd-{server.instance}"

    def squat() -> None:
        os.setresuid(STRANGER, STRANGER, STRANGER)
        (SHM / name).write_bytes(bytes(4096))
        (SHM / f"{name}~").symlink_to("/etc/passwd")
        claim = socket.socket(socket.AF_UNIX)
        claim.bind(f"\0hvd/{os.stat(SHM).st_dev:x}/0/{name}")
        claim.detach()

    try:
        with standing(squat), server:
            yield server
    finally:
        for path in (SHM / name, SHM / f"{name}~"):
            path.unlink(missing_ok=True)


def as_user(work: Callable[[], object], uid: int = STRANGER, groups: tuple[int, ...] = ()) -> None:
    """Do this as another user, in whose way no folder is; an assertion that fails there fails here."""

    def work_as_another() -> None:
        os.chdir(os.environ["HERE"])
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            raise

    assert ended(fork(work_as_another)) == 0


def submit(expected: int, **headers: str) -> Callable[[], None]:
    """Asks at the socket in the working folder: may it submit a job? It may look in any case."""

    def work() -> None:
        with Connection("sock") as connection:
            assert post(connection, "/jobs/submit", JOB, **headers).status == expected
            assert connection.get("/jobs").status == 200

    return work


def test_the_kernel_says_who_may_change_something(server: Squatted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root and the group, by any of their groups; not a proxy of theirs, which speaks for somebody else."""
    monkeypatch.setenv("HERE", str(server.folder))
    assert (os.stat(server.folder / "sock").st_mode & 0o777, os.stat(server.folder / "sock").st_gid) == (0o666, GROUP)
    as_user(submit(403))
    as_user(submit(202), groups=(1, GROUP))
    as_user(submit(202), uid=GROUP)
    as_user(submit(403, **{"X-Forwarded-For": "127.0.0.1"}), groups=(GROUP,))
    as_user(submit(202), uid=0)


def test_a_squat_keeps_no_daemon_from_anything(server: Squatted) -> None:
    """It has started, under names that nobody could guess, and says so; what was prepared stays as it was."""
    name = f"hvd-{server.instance}"
    assert f"{SHM / name} is another user's: the block is {server.block}" in server.log
    assert f"a process of another user holds @hvd/{os.stat(SHM).st_dev:x}/0/{name}" in server.log
    assert (SHM / name).read_bytes() == bytes(4096)
    assert os.readlink(SHM / f"{name}~") == "/etc/passwd"
    record = read_record(runtime_folders(server.instance)[0])
    assert record
    assert record.instance == server.instance
    own = [server.block, server.spare, *runtime_folders(server.instance)]

    def pry() -> None:
        for path in own:
            for flags in (os.O_RDONLY, os.O_WRONLY):
                with pytest.raises(OSError, match=r"Permission denied|Is a directory"):
                    os.open(path, flags)
        for pid in pids:
            for inside in ("environ", "mem", "fd"):
                with pytest.raises(PermissionError):
                    os.open(f"/proc/{pid}/{inside}", os.O_RDONLY)

    kinds = ("worker", "aggregator", "admin_server", "job_runner")
    pids = [server.pid, *(pid for kind in kinds for pid in server.pids(kind))]
    as_user_here(pry)


def as_user_here(work: Callable[[], None]) -> None:
    os.environ["HERE"] = "/"
    as_user(work)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "evil.example:{port}"}, 403),
        ({"Host": "evil.example:{port}", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "[::1", "X-Forwarded-For": "127.0.0.1"}, 200),  # no browser sends it
        ({"Host": "hvd.example", "X-Forwarded-For": "203.0.113.9"}, 200),
        ({"Host": "localhost:{port}"}, 200),
        ({"Host": "127.0.0.1:9"}, 200),
    ],
)
def test_a_name_that_was_led_here_gets_nothing(server: Squatted, headers: dict[str, str], expected: int) -> None:
    """On a loopback address, on everything that tells or changes; a proxy's name is another thing. Probes may ask."""
    port = server.admin_address[1]
    given = {name: text.format(port=port) for name, text in headers.items()}
    upgrade = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Version": "13"}
    with Connection(server.admin_address) as admin:
        for path in ("/jobs", "/api/v1/snapshot", "/metrics", "/status", "/api/v1/history"):
            assert admin.get(path, **given).status == expected, path
        changes = expected if "203" not in str(given) else 403  # of the proxy's client, who is elsewhere
        assert admin.get("/api/v1/stacks", **given).status == changes
        assert admin.get("/ws", **given, **upgrade).status == (403 if expected == 403 else 400)  # it has no key
        assert admin.get("/health", **given).status == 200
        assert post(admin, "/jobs/submit", JOB, **given).status == (403 if changes == 403 else 202)
