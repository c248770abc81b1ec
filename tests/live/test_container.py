"""The image of deploy/Dockerfile, built and run by podman: as another user, on a read-only root, within its limits."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
import yaml

from tests.support.containers import SUITE, Container, Podman, limits
from tests.support.debian import base
from tests.support.http import Connection, connect, load
from tests.support.server import ROOT, stopped
from tests.support.waiting import until

DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "Dockerfile"
USER = 990
MEMORY = 160 * 2**20
PORT = ("127.0.0.1", 8080)
OPEN = "--env=HVD_ALLOW_PUBLIC=true"

pytestmark = [
    pytest.mark.skipif(shutil.which("podman") is None or os.geteuid() != 0, reason="needs podman, as root"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """With the image of this tree."""
    with Podman(tmp_path_factory.mktemp("podman")) as podman:
        podman.build(DOCKERFILE)
        yield podman


@pytest.fixture(scope="module")
def container(podman: Podman) -> Iterator[Container]:
    """With nothing that it can write but its volume and /dev/shm, and less of the machine than there is."""
    cramped = ("--read-only", "--read-only-tmpfs=false", f"--memory={MEMORY}", "--cpus=0.5", "--cap-drop=all", OPEN)
    with Container(podman, *cramped, "--security-opt=no-new-privileges") as container:
        until(lambda: health(container) == "healthy", f"it is healthy: {container.log}", 30)
        yield container


def health(container: Container) -> str:
    """What `hvd status --probe` prints, as the image's health check calls it."""
    return container.run("hvd", "status", "--probe", check=False).stdout.strip()


def test_it_serves_as_a_user_of_its_own_within_its_limits(container: Container) -> None:
    """Compiled; with the jobs of half a processor; heartbeats, block and socket in /dev/shm, and nowhere else."""
    with container.network(), Connection(PORT) as connection:
        answer = connection.get("/status").json()
        tally = load(PORT, ["/health", "/metrics"], clients=4, requests=400)
    assert answer["hot_path"] == "C"
    assert set(tally.received) == {("/health", 200), ("/metrics", 200)}
    processes = container.processes()
    assert {os.stat(f"/proc/{pid}").st_uid for pid in processes} == {USER}
    assert processes[container.pid].endswith("gunicorn -c python:hvd.gunicorn_conf"), "gunicorn's master is process 1"
    settings = container.run("hvd", "check").stdout
    assert {"workers": "2", "jobs.concurrency": "1"}.items() <= settings_in(settings).items()
    memory = Path("/sys/fs/cgroup/memory", container.state("CgroupPath").lstrip("/"))
    if memory.exists():
        assert int((memory / "memory.limit_in_bytes").read_text()) == MEMORY
        assert "oom_kill 0" in (memory / "memory.oom_control").read_text()


def settings_in(text: str) -> dict[str, str]:
    """Key and value of each line that `hvd check` prints."""
    return {words[0]: words[1] for line in text.splitlines() if len(words := line.replace("=", " ").split()) > 1}


def test_its_health_check_fails_only_while_nobody_is_served(container: Container) -> None:
    """As the image has it; the killed workers are replaced, totals stay, and process 1 reaps what others leave."""
    assert is_fit(container)
    before = snapshot(container)
    with stopped(container.pid):
        for worker in workers(container):
            os.kill(worker, signal.SIGKILL)
        until(lambda: not is_fit(container), "the check fails")
    until(lambda: health(container) == "healthy", "others serve")
    assert is_fit(container)
    assert snapshot(container)["http_requests"] >= before["http_requests"]
    container.run("sh", "-c", "(sleep 0.1; exit 1) & exit 0")
    until(lambda: len(container.processes()) == 5 and not zombies(container), "no orphan is left")


def is_fit(container: Container) -> bool:
    """What the image's own health check says."""
    return container.podman.run("healthcheck", "run", container.id, check=False).returncode == 0


def workers(container: Container) -> list[int]:
    """gunicorn's, by the ids that this machine knows them by."""
    return [pid for pid, line in container.processes().items() if "gunicorn -c" in line and pid != container.pid]


def snapshot(container: Container) -> dict[str, int]:
    with container.network(), Connection(PORT) as connection:
        answer: dict[str, int] = connection.get("/api/v1/snapshot").json()
    return answer


def zombies(container: Container) -> list[int]:
    """Processes that nobody has waited for."""
    return [pid for pid in container.processes() if ") Z " in Path(f"/proc/{pid}/stat").read_text()]


def test_it_stops_cleanly_and_says_what_is_wrong(podman: Podman) -> None:
    """TERM ends it with 0, in much less than the grace. Open to whoever reaches it, it is only where it was told."""
    with Container(podman, OPEN) as container:
        until(lambda: health(container) == "healthy", f"it is healthy: {container.log}", 30)
        podman.run("stop", "--time", "20", container.id)
        assert container.state("ExitCode") == "0"
        assert "Shutting down: Master" in container.log
    with Container(podman) as container:
        until(lambda: container.state("Status") == "exited", "it has ended", 30)
        assert container.state("ExitCode") == "2"
        assert "allow_public" in container.log


def test_the_services_of_compose_work_together(podman: Podman) -> None:
    """As the file has them, but for Debian's nginx; of Prometheus its settings. Others see the page, and no figures."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    hvd, nginx, prometheus = (services[name] for name in ("hvd", "nginx", "prometheus"))
    environ = [f"--env={name}={value}" for name, value in hvd["environment"].items()]
    with Container(podman, "--read-only", "--cap-drop=all", *environ) as container:
        until(lambda: is_fit(container), f"it is healthy: {container.log}", 30)
        options = [f"--volume={volume.replace('./', f'{DEPLOY}/')}" for volume in nginx["volumes"]]
        image = podman.import_base("base", base(SUITE))
        run = ("run", "--detach", f"--network=container:{container.id}", *limits(), *options, image)
        podman.run(*run, *nginx["command"])
        with container.network():
            until(lambda: answers(("127.0.0.1", 8000)), "nginx serves", 30)
            with Connection(("127.0.0.1", 8000)) as connection:
                assert b"<title>" in connection.get("/", Accept="text/html", Host="127.0.0.1").body
                assert connection.get("/healthz", Host="127.0.0.1").json()["status"] == "healthy"
            outside = HTTPConnection("127.0.0.1", 8000, timeout=30, source_address=("127.0.0.2", 0))
            outside.request("GET", "/metrics")
            assert outside.getresponse().status == 403
            outside.close()
            with Connection(("127.0.0.1", 9180)) as connection:
                assert b"hvd_http_requests_total" in connection.get("/metrics", Host="127.0.0.1").body
    written = prometheus["entrypoint"][2].partition("exec")[0].replace("/tmp", ".").replace("/hvd/", f"{DEPLOY}/")
    done = subprocess.run(
        ("sh", "-ec", f"cd {podman.folder}; {written} promtool check config prometheus.yml"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'targets: ["127.0.0.1:9180"]' in (podman.folder / "prometheus.yml").read_text()


def answers(address: tuple[str, int]) -> bool:
    """Whether somebody listens there."""
    with contextlib.suppress(OSError):
        connect(address).close()
        return True
    return False


def test_an_image_is_not_built_without_the_hot_path(podman: Podman) -> None:
    """The image to build in has no compiler here."""
    failed = podman.build(DOCKERFILE, has_compiler=False)
    assert failed.returncode != 0
    assert "gcc" in failed.stdout + failed.stderr
