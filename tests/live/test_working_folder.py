"""Where the daemon is started doesn't matter."""

from pathlib import Path

from tests.support.server import Server


def test_a_file_of_the_working_folder_is_not_taken_for_a_module(tmp_path: Path) -> None:
    """The aggregator is executed afresh, and imports the library's `random`, not what lies there."""
    (tmp_path / "random.py").write_text("raise SystemExit('not this one')\n")
    server = Server(tmp_path)
    server.command.insert(1, "-P")  # as the installed script starts gunicorn: without the folder
    with server:
        server.wait_ready()
    assert not server.alarms
