"""`hvd demo`: a small shop with load, under hvd."""

import argparse
import contextlib
import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hvd.cli.admin import admin_addresses
from hvd.cli.arguments import Exit, seconds
from hvd.demo.traffic import Traffic
from hvd.settings.table import variable
from hvd.settings.variables import CONFIG, PREFIX, environment

SHOP = "hvd.demo.shop:app"
STOP_GRACE = 20.0  # s that the shop has to end
_DAY = 86_400.0

SETTINGS = """\
[watch]
slow_request_seconds = 0.5
[jobs.kinds.thumbnails]
command = [{python}, "-c", {thumbnails}, "{{seconds}}"]
params.seconds = {{ type = "int", min = 0, max = 60 }}
progress = "(?P<percent>[0-9]+) %"
[jobs.kinds.invoice]
command = [{python}, "-c", {invoice}, "{{order}}"]
params.order = {{ type = "int", min = 0, max = 1000 }}
"""

THUMBNAILS = (
    "import sys, time\nfor i in range(50): time.sleep(int(sys.argv[1]) / 50); print(2 * i + 2, '%', flush=True)"
)
INVOICE = "import sys, time; time.sleep(1); sys.exit(int(sys.argv[1]) % 5 == 0)"
"""Jobs: one tells how far it is, one in five of the others fails."""


def settings(folder: str) -> str:
    """hvd.toml of the demo, which keeps all that it has in that folder."""
    texts = {"python": sys.executable, "thumbnails": THUMBNAILS, "invoice": INVOICE}
    return f"state_dir = {json.dumps(folder)}\n" + SETTINGS.format(
        **{name: json.dumps(text) for name, text in texts.items()}
    )


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Those of this command."""
    command.epilog = "It runs on free ports, says where its page is, and ends with Ctrl-C; nothing of it stays."
    command.add_argument(
        "--seconds",
        type=lambda text: seconds(text, _DAY, "a day"),
        metavar="N",
        help="end after so many seconds (default: when interrupted)",
    )


def run(args: argparse.Namespace) -> int:
    """Run it; the exit status is that of the service where it ends by itself."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="hvd-demo-") as folder:
        (Path(folder) / "hvd.toml").write_text(settings(folder), encoding="utf-8")
        with served(folder) as (shop, traffic):
            traffic.start()
            try:
                shop.wait(args.seconds)
            except subprocess.TimeoutExpired:
                return Exit.OK
            return int(shop.returncode)


@contextlib.contextmanager
def served(folder: str) -> Iterator[tuple[subprocess.Popen[bytes], Traffic]]:
    """The shop under `hvd run`, and its traffic, which is not there yet; at the end neither is."""
    shop = f"127.0.0.1:{free_port()}"
    instance = shop.replace(":", "-")
    own = {name: text for name, text in environment().items() if not name.startswith(PREFIX)}
    options = ["--bind", shop, "--workers", "2", "--threads", "4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "hvd", "run", SHOP, *options, "--", "--log-level", "error", "--no-control-socket"],
        cwd=folder,
        env={**own, CONFIG: str(Path(folder) / "hvd.toml"), variable("instance"): instance},
    )
    traffic = Traffic(address(shop), lambda: page_of(instance))
    print("hvd demo: a small shop with customers; Ctrl-C ends it", flush=True)
    try:
        yield process, traffic
    finally:
        traffic.stop()
        process.terminate()
        try:
            process.wait(STOP_GRACE)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """A port of 127.0.0.1 at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def page_of(instance: str) -> tuple[str, int] | None:
    """Where it has its page: it takes a port itself, as another daemon may take what looks free from here."""
    pages = [(page.host, page.port) for page in admin_addresses(instance) if not page.unix_path]
    return pages[0] if pages else None


def address(bind: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = bind.rpartition(":")
    return host, int(port)
