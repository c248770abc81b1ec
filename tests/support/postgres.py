"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, reached by a unix socket in it."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import psycopg

from tests.support.waiting import PATIENCE, until


def program(name: str) -> str:
    """Where it is: Debian keeps PostgreSQL's programs out of PATH, and servers out of that of ordinary users."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") or next(
        map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None
    )
    assert found, f"{name} is not installed: apt-get install postgresql pgbouncer"
    return found


def send(processes: Iterable[psutil.Process], signum: signal.Signals) -> None:
    """To those that are still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signum)


class Postgres:
    """A running server; a context manager, which leaves nothing behind."""

    def __init__(self) -> None:
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it refuses to run as root
        self.folder = Path(tempfile.mkdtemp(prefix="hvd-pg-"))
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self.log_path = self.folder / "log"
        self._server: subprocess.Popen[bytes] | None = None

    def _popen(self, *command: str) -> "subprocess.Popen[bytes]":
        user, group = (self._user.pw_uid, self._user.pw_gid) if self._user else (None, None)
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=user,
                group=group,
                extra_groups=() if user is not None else None,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            )

    def start(self) -> None:
        """Start it, or start it again."""
        data = self.folder / "data"
        if not data.exists():
            made = self._popen(program("initdb"), "-D", str(data), "-U", "hvd", "-A", "trust", "--no-sync")
            assert made.wait(60 * PATIENCE) == 0, self.log_path.read_text()
        self._server = self._popen(
            *(program("postgres"), "-D", str(data), "-k", str(self.folder)),
            *("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100"),
        )
        until(self._answers, f"PostgreSQL answers; log:\n{self.log_path.read_text()}", 30)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._conninfo("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _conninfo(self, database: str) -> str:
        return f"host={self.folder} user=hvd dbname={database}"

    def stop(self) -> None:
        """Stop it at once, as a crash would but for what is committed."""
        if self._server is not None:
            self._server.send_signal(3)  # SIGQUIT: immediate shutdown
            self._server.wait(30 * PATIENCE)
            self._server = None

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """All its processes are stopped meanwhile: connections are accepted by the kernel, and nothing answers."""
        assert self._server is not None
        server = psutil.Process(self._server.pid)
        processes = [server, *server.children(recursive=True)]
        try:
            send(processes, signal.SIGSTOP)
            yield
        finally:
            send(processes, signal.SIGCONT)

    def database(self, options: str = "") -> str:
        """The URL of a new, empty database; `options` are CREATE DATABASE's."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}".encode())
        return f"postgresql://hvd@/{name}?host={self.folder}"

    @contextlib.contextmanager
    def pooled(self, url: str) -> Iterator[str]:
        """A PgBouncer before that database, in transaction mode with three sessions -> its URL."""
        folder, port = self.folder / f"pool-{uuid.uuid4().hex[:8]}", 6432  # names a socket in the folder, no TCP port
        name = url.partition("@/")[2].partition("?")[0]
        folder.mkdir()
        if self._user:
            os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        (folder / "users").write_text('"hvd" ""\n')
        (folder / "ini").write_text(
            f"[databases]\n{name} = host={self.folder} dbname={name} user=hvd\n[pgbouncer]\nlisten_addr =\n"
            f"unix_socket_dir = {folder}\nlisten_port = {port}\nauth_type = any\nauth_file = {folder}/users\n"
            "pool_mode = transaction\ndefault_pool_size = 3\n"
        )
        pooler = self._popen(program("pgbouncer"), str(folder / "ini"))
        try:
            socket = folder / f".s.PGSQL.{port}"
            until(socket.exists, "PgBouncer listens")
            yield f"postgresql://hvd@/{name}?host={folder}&port={port}"
        finally:
            pooler.terminate()
            pooler.wait(30 * PATIENCE)

    def connect(self, url: str) -> "psycopg.Connection[tuple[object, ...]]":
        """A connection to a database that `database` made."""
        return psycopg.connect(url)

    def __enter__(self) -> "Postgres":
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
