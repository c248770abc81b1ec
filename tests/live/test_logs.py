"""Every process of a daemon logs where gunicorn's error log goes, and goes on there after a rotation."""

import signal
import socket
from pathlib import Path

from tests.support.jobs import JobsDaemon
from tests.support.waiting import PATIENCE, until

KINDS = {"bad": {"command": ["sh", "-c", "exit 3"]}}


def test_companions_log_where_gunicorn_does(tmp_path: Path) -> None:
    """A job runner's warning is in gunicorn's file and syslog, after USR1 in the new file, never on the terminal."""
    file, rotated = tmp_path / "error.log", tmp_path / "error.log.1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(60 * PATIENCE)
        to_syslog = ("--log-syslog", "--log-syslog-to", "udp://{}:{}".format(*syslog.getsockname()))
        arguments = ("--error-logfile", str(file), "--capture-output", *to_syslog)
        server = JobsDaemon(tmp_path, KINDS, bind=f"unix:{tmp_path}/hvd", arguments=arguments)
        with server.start(ready=False):
            server.wait_ready()
            assert "hvd 0" in file.read_text(), "a start is said"
            (first,) = server.submit("bad")
            until(lambda: f"job {first} (bad) failed" in file.read_text(), "its line is in the file")
            while f"job {first} (bad) failed".encode() not in syslog.recv(65536):
                pass
            file.rename(rotated)
            server.signal(signal.SIGUSR1)
            until(file.exists, "there is a new file")
            (second,) = server.submit("bad")
            until(lambda: f"job {second} (bad) failed" in file.read_text(), "the other's line is in the new file")
            assert "WARNING" in file.read_text()
        assert server.log == ""
        assert "requests finished" in file.read_text(), "a stop is said"
