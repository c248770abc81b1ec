"""The command against a daemon behind a real nginx: by TLS, with an authority of its own, below a path."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.certificates import Authority
from tests.support.jobs import JobsDaemon
from tests.support.proxies import NAME, Nginx
from tests.support.server import Server
from tests.support.waiting import until

KINDS = {"plain": {"command": ["true"]}}


class Place(NamedTuple):
    """A daemon, its proxy, and the authority of the proxy's certificate."""

    server: Server
    proxy: Nginx
    authority: Authority

    def hvd(self, *command: str, url: str = "", knows: bool = True) -> "subprocess.CompletedProcess[str]":
        url = url or f"https://localhost:{self.proxy.address[1]}/hvd/"
        environ = {"HVD_CA_FILE": str(self.authority.file)} if knows else {}
        done = subprocess.run(
            [sys.executable, "-m", "hvd", *command, "--url", url],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done


def assert_failed(done: "subprocess.CompletedProcess[str]", words: str) -> None:
    """Nobody answers, which is told in a line that has these words."""
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(words, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("elsewhere")
    with JobsDaemon(folder, KINDS, allowed_origins=f"https://{NAME}", workers=1, interval=0.2) as server:
        proxy = Nginx(folder, server.address, server.admin_address, tls=True, prefixed=True)
        authority = Authority(folder)
        authority.issue(proxy.folder, "DNS:localhost,DNS:ops.example")
        with proxy:
            yield Place(server, proxy, authority)


def test_every_command_goes_through(place: Place) -> None:
    """Its HTTP and its WebSocket."""
    assert place.hvd("status").returncode == 0
    assert place.hvd("status", "--probe").stdout == "healthy\n"
    assert json.loads(place.hvd("snapshot").stdout)["system_health"] == "healthy"
    watched = place.hvd("watch", "--count", "3")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout.splitlines()[-1])["type"]
    shown = place.hvd("top", "--json")
    assert (shown.returncode, json.loads(shown.stdout)["raw"]["system_health"]) == (0, "healthy")
    assert place.hvd("jobs", "kinds").stdout.splitlines()[0] == "plain"
    assert place.hvd("jobs", "submit", "plain", "--wait").returncode == 0
    assert "has no stacks: it is not the daemon's admin server" in place.hvd("stacks").stderr


def test_what_is_wrong_with_the_address_is_told(place: Place) -> None:
    """TLS, plain HTTP, another path: each in a line with the remedy."""
    port = place.proxy.address[1]
    for url, words in (
        (f"https://127.0.0.1:{port}/hvd", "a certificate that is not for 127.0.0.1 but for localhost, ops.example: "),
        (
            f"http://localhost:{port}/hvd",
            r"not hvd \(nginx[^,]*, 400 Bad Request, text/html\): it wants TLS, give https://",
        ),
        (f"localhost:{port}", "it wants TLS, give https:// instead of http://"),
        (f"https://localhost:{port}/elsewhere", r"not hvd \(nginx[^,]*, 404 Not Found, \S+\): nothing is below"),
        ("https://{}:{}".format(*place.server.address), "give http:// instead of https://"),
    ):
        assert_failed(place.hvd("status", url=url), words)
    assert_failed(place.hvd("status", knows=False), "name a file with that authority's certificate by --ca-file")


def test_a_death_is_told(place: Place) -> None:
    """Of an idle worker too; by the daemon's clock, with how many there were."""
    (pid,) = place.server.pids("worker")
    os.kill(pid, signal.SIGKILL)
    told = until(lambda: re.search(rf"Last death +(.*{pid}.*)", place.hvd("status").stdout), "it is told", 30, 0.2)
    print(told[1])
    assert re.search(r"^\d+s ago: .*SIGKILL.*; 1 unplanned since the start", told[1]), told[1]
    place.server.wait_ready()


def test_a_daemon_that_is_away_is_told_from_its_proxy(place: Place) -> None:
    """Last: it is stopped."""
    assert place.server.stop() == 0
    assert_failed(place.hvd("status"), r"not hvd \(nginx[^,]*, 502 Bad Gateway, text/html\): a proxy that does not")
    assert_failed(place.hvd("watch"), "502 Bad Gateway")
