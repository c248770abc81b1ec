"""A second HUP keeps what the first one changed."""

import signal
from pathlib import Path

from tests.support.server import Server
from tests.support.waiting import until


def test_a_second_reload_keeps_the_settings_in_force(tmp_path: Path) -> None:
    """Unchanged or broken, the file does not bring back the settings of the start."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 1\n")
    with Server(tmp_path, environ={"HVD_CONFIG": str(file)}) as server:
        deep = f"workers = {'[' * 5000}"
        for number, text in enumerate(("workers = 3\n", "workers = 3\n", "workers = many\n", deep), 1):
            old = set(server.pids("worker"))
            file.write_text(text)
            server.signal(signal.SIGHUP)
            until(lambda old=old: len(now := set(server.pids("worker"))) == 3 and not now & old, f"HUP {number}")


def test_a_reload_applies_the_log_level_and_tells_what_it_can_not_apply(tmp_path: Path) -> None:
    """Nothing that was changed is passed over in silence."""
    file = tmp_path / "hvd.toml"
    file.write_text("workers = 1\n")
    with Server(tmp_path, environ={"HVD_CONFIG": str(file)}) as server:
        file.write_text('workers = 1\nworker_class = "sync"\nlog_level = "debug"\nslots = 70\n')
        server.signal(signal.SIGHUP)
        until(lambda: "slots, worker_class changed; that takes effect at the next start" in server.log, "it is told")
        until(lambda: "[DEBUG]" in server.log, "the log is as asked")
