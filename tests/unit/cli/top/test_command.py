"""`hvd top --once` and `--json`, and what is refused; the full screen is in tests/live."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from hvd.cli.client import Address
from hvd.cli.top import app, command
from hvd.cli.top.choice import Choice
from hvd.cli.top.command import as_json
from hvd.cli.top.feed import Feed
from hvd.errors import DaemonUnreachable
from tests.support.server import Server
from tests.unit.cli.daemon import HEALTHY, daemon
from tests.unit.cli.top.data import frame, model


@pytest.fixture(autouse=True)
def feeds(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a screen that was never left listens by ends with its test; else it does with its process."""
    made: list[Feed] = []

    class Recorded(Feed):
        def start(self) -> None:
            made.append(self)
            super().start()

    monkeypatch.setattr(command, "Feed", Recorded)
    yield
    for feed in made:
        feed.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("top"), workers=2, interval=0.2) as server:
        for _ in range(7):
            server.get("/hello")
        yield server


def top(server: Server, *arguments: str) -> "subprocess.CompletedProcess[str]":
    url = server.url
    command = [sys.executable, "-m", "hvd", "top", "--url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL, check=False)


def test_once_prints_what_the_screen_shows(server: Server) -> None:
    """In 80 columns, without a sign that a pipe would not like."""
    result = top(server, "--once")
    assert (result.returncode, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    for part in ("healthy", "requests/s", "/hello", "workers 2", "5xx"):
        assert part in result.stdout
    assert "\x1b" not in result.stdout


def test_json_is_for_scripts(server: Server) -> None:
    """The same numbers, in the order asked for."""
    result = top(server, "--json", "--sort", "pid")
    answer = json.loads(result.stdout)
    assert result.returncode == 0
    pids = [worker["pid"] for worker in answer["workers"]]
    assert pids == sorted(server.pids("worker"))
    (hello,) = (route for route in answer["routes"] if route["route"] == "/hello")
    assert hello["count"] == 7
    assert answer["raw"]["system_health"] == "healthy"


def test_a_screen_needs_a_terminal(server: Server) -> None:
    """And says what to do without."""
    result = top(server)
    assert (result.returncode, result.stdout) == (2, "")
    assert "use hvd top --once" in result.stderr


def test_the_object_holds_lists_and_history() -> None:
    """By column, oldest first."""
    answer = json.loads(json.dumps(as_json(model(), Choice(), frame())))
    assert [worker["pid"] for worker in answer["workers"]] == [11, 12]
    assert len(answer["history"]["time"]) == 201
    assert answer["version"] == "0.1.0"
    assert (answer["badge"], answer["url"]) == ("healthy", "http://127.0.0.1:8080")


@pytest.mark.parametrize("words", [("status",), ("jobs", "list"), ("top", "--once"), ("top", "--json")])
def test_only_the_screen_imports_textual(server: Server, words: tuple[str, ...]) -> None:
    """And rich, which progress bars and `top --once` need, none of the others: commands start fast."""
    code = (
        "import sys; from hvd.cli.main import main; code = main(sys.argv[1:]);"
        "print(code, *sorted({name.partition('.')[0] for name in sys.modules} & {'rich', 'textual'}), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *words, "--url", server.url]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    imported = result.stderr.split()[-1:] if words[0] == "top" else []
    assert result.stderr.split() == ["0", *imported] if words[0] != "jobs" else not imported
    assert "textual" not in result.stderr
    assert words[0] == "top" or "rich" not in result.stderr


def test_a_failure_of_our_own_is_a_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it happened, and what goes on working; the terminal is restored by then."""

    def show(*args: object) -> int:
        raise KeyError("\x1b[31mours")

    monkeypatch.setattr(app, "show", show)
    with daemon((200, HEALTHY)) as (url, _):
        assert command._show(Address.parse(url), 5.0, frame(), Choice()) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hvd: top failed (KeyError('\\x1b[31mours') at test_command.py:")
    assert line.endswith("use hvd top --once")


def test_who_never_answered_has_no_screen() -> None:
    """The reason is that of every command."""
    with pytest.raises(DaemonUnreachable, match="connection refused"):
        command._show(Address.parse("http://127.0.0.1:1"), 5.0, frame(), Choice())
