"""A real PostgreSQL for tests: a cluster of its own in a temporary folder, reached by a unix socket in it."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg

from tests.support.waiting import until


def program(name: str) -> str:
    """Where it is: Debian keeps PostgreSQL's programs out of PATH."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    assert found, f"PostgreSQL's {name} is not installed: apt-get install postgresql"
    return found


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
            assert made.wait(60) == 0, self.log_path.read_text()
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
            self._server.wait(30)
            self._server = None

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://hvd@/{name}?host={self.folder}"

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
