"""`hvd top` in a real pseudo-terminal, with a real daemon."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from hvd.cli.top.driver import ENTER, LEAVE
from tests.support.http import connect
from tests.support.jobs import JobsDaemon
from tests.support.pseudo import Pseudo
from tests.support.server import Server, stopped
from tests.support.waiting import until

ENVIRON = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "LANG": "C.UTF-8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("top")
    with Server(folder, bind=f"unix:{folder}/http.sock", workers=2, interval=0.2) as server:
        for path in ("/hello", "/hello", "/nope"):
            server.get(path)
        yield server


def top(server: Server, columns: int = 80, lines: int = 24, *arguments: str, **environ: str) -> Pseudo:
    command = [sys.executable, "-m", "hvd", "top", "--url", server.bind, *arguments]
    return Pseudo(command, columns, lines, {**ENVIRON, **environ})


def ask(server: Server, times: int) -> None:
    with server.connection() as connection:
        for _ in range(times):
            connection.get("/hello")


def hellos(server: Server) -> int:
    return server.counted()["/hello", 200]


def shown(text: str) -> str:
    """The count of /hello on the screen, in the list of routes since the start."""
    return next((line.split()[1] for line in text.splitlines() if line.startswith("/hello ")), "")


def entered(terminal: Pseudo) -> int:
    """How often the alternate screen was taken; the emulator has no second screen to show that."""
    return terminal.output.count(ENTER.encode())


def left(terminal: Pseudo) -> int:
    """How often it was given back."""
    return terminal.output.count(LEAVE.encode())


def ended_well(terminal: Pseudo) -> bool:
    """The alternate screen is left, and the terminal's modes are those of before."""
    output = terminal.output
    assert output.startswith(ENTER.encode())
    assert output.endswith(LEAVE.encode()), output[-500:]
    assert entered(terminal) == left(terminal)
    return terminal.modes == terminal.before


@pytest.mark.parametrize(("columns", "lines"), [(40, 10), (80, 24), (200, 50)])
def test_the_numbers_are_shown_and_move(server: Server, columns: int, lines: int) -> None:
    """Verdict, now against before, how busy it is, routes, keys; from 80 columns on charts with scales; q ends it."""
    parts = ["healthy", "live", "5xx", "p99", "of 8 busy", "q quit"]
    parts += ["last minute", "requests/s", "1 workers 2", "Capacity", "now"] if columns >= 80 else []
    with top(server, columns, lines, "--sort", "requests") as terminal:
        terminal.shows("hvd top", "t since start")
        terminal.press("t/hel")
        terminal.shows("/hel", "/hello")
        terminal.press("\r")
        terminal.shows(*parts, "/hello")
        assert terminal.text.count("│") >= (3 if columns >= 80 else 0)
        ask(server, 41)
        count = str(hellos(server))
        terminal.until(lambda text: shown(text) == count, f"/hello counts {count}")
        terminal.press("q")
        assert terminal.wait() == 0
        assert ended_well(terminal)


def test_a_resize_is_followed_at_once(server: Server) -> None:
    """Smaller and larger, down to nearly nothing."""
    with top(server) as terminal:
        terminal.shows("q quit")
        terminal.resize(200, 50)
        terminal.shows("threads", "Space pause", "busy of capacity")
        terminal.resize(40, 10)
        terminal.shows("hvd top", "2 routes", "q quit")
        assert len(terminal.text.splitlines()) <= 10
        terminal.resize(80, 24)
        terminal.shows("requests/s", "since start", "now", "q quit")
        terminal.press("q")
        assert terminal.wait() == 0
        assert ended_well(terminal)


def test_keys_and_clicks_change_what_is_shown(server: Server) -> None:
    """Order, list, filter, details, pause, help."""
    ask(server, 3)
    with top(server) as terminal:
        terminal.shows("/S▼", "/hello")
        terminal.press("s")
        terminal.shows("5XX▼")
        terminal.press("r")
        terminal.shows("5XX▲")
        row = next(at for at, line in enumerate(terminal.text.splitlines()) if "ROUTE" in line)
        head = terminal.text.splitlines()[row]
        click(terminal, head.index("P99"), row)
        terminal.shows("P99▼")
        terminal.press("/hel")
        terminal.shows("/hel: 1")
        terminal.press("\r")
        terminal.shows("q quit")
        terminal.press("\r")
        terminal.shows("route /hello", "since start", "status", "200")
        terminal.press("\x1b")
        terminal.shows("P99▼")
        terminal.press("?")
        terminal.shows("hvd top: keys", "suspend")
        terminal.press("\x1b")
        terminal.shows("P99▼")
        terminal.press("t ")
        terminal.shows("PAUSED", "COUNT")
        before = shown(terminal.text)
        ask(server, 30)
        count = str(hellos(server))
        age = terminal.until(lambda text: re.search(r"PAUSED ([2-9]|\d\d)s", text) is not None, "seconds have gone by")
        assert shown(age) == before != count
        terminal.press(" ")
        terminal.until(lambda text: "PAUSED" not in text and shown(text) == count, "it goes on with the newest")
        terminal.press("q")
        assert terminal.wait() == 0


def click(terminal: Pseudo, column: int, line: int) -> None:
    """As a terminal sends it: SGR, from 1 on."""
    terminal.press(f"\x1b[<0;{column + 1};{line + 1}M\x1b[<0;{column + 1};{line + 1}m")


def test_a_job_is_cancelled_where_its_output_is(tmp_path: Path) -> None:
    """Last lines and parameters in its details; c asks first; what became of it is told, and shown."""
    code = "import time; print('hello from the job', flush=True); time.sleep(600)"
    kinds = {"wait": {"command": [sys.executable, "-c", code]}}
    with JobsDaemon(tmp_path, kinds, bind=f"unix:{tmp_path}/http.sock", workers=1) as server:
        server.submit("wait")
        with top(server, 100, 30) as terminal:
            terminal.press("3")
            terminal.shows("running")
            terminal.press("\r")
            terminal.shows("job wait", "last lines", "hello from the job")
            terminal.press("c")
            terminal.shows("Cancel job wait", "y yes", "PROGRESS")
            terminal.press("y")
            terminal.shows("was told to end")
            terminal.shows("cancelled")
            terminal.press("q")
            assert terminal.wait() == 0


def test_all_jobs_are_listed_and_searched_for(tmp_path: Path) -> None:
    """500 of them, what runs first; more come as the cursor moves down; the daemon looks for words."""
    kinds = {
        "wait": {"command": [sys.executable, "-c", "import time; time.sleep(600)"]},
        "nap": {"command": [sys.executable, "-c", "import time; time.sleep(600)"]},
    }
    with JobsDaemon(tmp_path, kinds, bind=f"unix:{tmp_path}/http.sock", workers=1, jobs_concurrency=2) as server:
        first = server.submit("nap")[0]
        server.wait_status(first, "running")
        server.submit("wait", 499)
        with top(server, 100, 30) as terminal:
            terminal.press("3")
            terminal.shows("of 500", "running", "nap")
            terminal.until(lambda text: "running" in text.split("PROGRESS")[1].splitlines()[1], "what runs is first")

            def ends(text: str) -> bool:
                terminal.press("G")
                return "-500 of 500" in text

            terminal.until(ends, "the cursor is on the last one")
            terminal.press("g/nap\r")
            terminal.until(lambda text: "/nap: 1" in text and "nap" in text.split("PROGRESS")[1], "only one is that")
            terminal.press("q")
            assert terminal.wait() == 0


def test_a_lost_daemon_is_told_and_found_again(tmp_path: Path) -> None:
    """The last numbers stay, marked; when it is back they move."""
    bind = f"unix:{tmp_path}/http.sock"
    with Server(tmp_path, bind=bind, workers=1, interval=0.2) as server:
        server.get("/hello")
        with top(server) as terminal:
            terminal.shows("live")
            terminal.press("t")
            terminal.shows("/hello", "COUNT")
            assert server.stop() == 0
            lost = terminal.shows("STALE", "No connection", "Last heard")
            assert "/hello" in lost
            with Server(tmp_path, bind=bind, workers=1, interval=0.2) as again:
                again.get("/hello")
                terminal.until(lambda text: "live" in text and "No connection" not in text, "it is found", 20)
                terminal.shows("/hello")
                terminal.press("q")
                assert terminal.wait() == 0
                assert ended_well(terminal)


@pytest.mark.parametrize(("how", "status"), [("\x03", 130), ("\x1c", 131), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_terminal_is_put_back_at_every_end(server: Server, how: str | signal.Signals, status: int) -> None:
    """Ctrl-C, Ctrl-\\, and signals that end a program."""
    with top(server) as terminal:
        terminal.shows("q quit")
        if isinstance(how, str):
            terminal.press(how)
        else:
            terminal.process.send_signal(how)
        assert terminal.wait() == status
        assert ended_well(terminal)


def test_a_suspended_top_gives_the_terminal_back(server: Server) -> None:
    """To the shell, and takes it again when that goes on with it."""
    command = f"{sys.executable} -m hvd top --url {server.bind}"
    with Pseudo(["bash", "--norc", "--noprofile", "-i"], 80, 24, {**ENVIRON, "PS1": "ready> "}) as terminal:
        terminal.shows("ready>")
        terminal.press(f"{command}\n")
        terminal.shows("live", "q quit")
        terminal.press("\x1a")
        terminal.until(lambda text: "Stopped" in text and left(terminal) == 1, "the shell is there again")
        terminal.press("fg\n")
        terminal.until(lambda text: "live" in text and entered(terminal) >= 2, "top has the screen again")
        terminal.press("q")
        terminal.until(lambda _: left(terminal) == 2, "it has ended")
        terminal.press("echo status:$?\n")
        terminal.shows("status:0")
        terminal.press("exit\n")
        assert terminal.wait() == 0


AT_START = """
import signal, sys
from hvd.cli.main import main
from hvd.cli.top.driver import Terminal

def set_modes(terminal):
    Terminal._set_modes = plain
    signal.raise_signal(signal.SIGTSTP)
    plain(terminal)

plain, Terminal._set_modes = Terminal._set_modes, set_modes
sys.exit(main(["top", "--url", sys.argv[1]]))
"""


def test_ctrl_z_while_it_takes_the_terminal_waits_until_it_has_it(server: Server) -> None:
    """In the middle of that it would take it twice, and put back what it made of it."""
    with Pseudo([sys.executable, "-c", AT_START, server.bind], 80, 24, ENVIRON) as terminal:
        process = psutil.Process(terminal.process.pid)
        until(lambda: process.status() == psutil.STATUS_STOPPED, "it stands still")
        terminal.process.send_signal(signal.SIGCONT)
        terminal.shows("live", "q quit")
        terminal.press("q")
        assert terminal.wait() == 0
        assert ended_well(terminal)


def test_a_top_that_was_stopped_unasked_takes_the_terminal_again(server: Server) -> None:
    """SIGSTOP can't be heeded: who continues it may have changed screen and modes meanwhile."""
    with top(server) as terminal:
        terminal.shows("live", "q quit")
        terminal.process.send_signal(signal.SIGSTOP)
        until(lambda: psutil.Process(terminal.process.pid).status() == psutil.STATUS_STOPPED, "it stands still")
        terminal.process.send_signal(signal.SIGCONT)
        terminal.until(lambda text: entered(terminal) == 2 and "q quit" in text, "it has the screen again")
        terminal.press("q")
        assert terminal.wait() == 0
        assert left(terminal) == 1
        assert terminal.modes == terminal.before


def test_terminals_without_colour_or_utf8(server: Server) -> None:
    """Plain signs; and one that can't move its cursor is told what to do."""
    with top(server, LC_ALL="C", PYTHONIOENCODING="ascii", NO_COLOR="1") as terminal:
        for key in ("1", "2", "t", "3", "5", "?"):
            terminal.press(key)
            assert terminal.shows("Esc" if key == "?" else "q quit").isascii()
        assert not re.search(rb"\x1b\[([0-9]+;)*([34][0-8]|9[0-7]|10[0-7])[;m]", terminal.output), "no colour"
        assert terminal.output.isascii()
        terminal.press("\x1b")
        terminal.shows("q quit")
        terminal.press("q")
        assert terminal.wait() == 0
    with top(server, TERM="dumb") as terminal:
        assert terminal.wait() == 2
        assert "hvd top --once" in terminal.text


def test_it_starts_and_lives_without_a_websocket(tmp_path: Path) -> None:
    """While no aggregator is there to serve it: health, reasons and counts come by HTTP, then the socket again."""
    bind = f"unix:{tmp_path}/http.sock"
    with Server(tmp_path, bind=bind, workers=2, interval=0.2) as server:
        (aggregator,) = server.pids("aggregator")
        with stopped(server.pid), ExitStack() as stack:
            os.kill(aggregator, signal.SIGKILL)  # its master, which is stopped, starts no other one
            terminal = stack.enter_context(top(server))
            terminal.shows("q quit")
            terminal.press("t")
            terminal.shows("degraded", "aggregator away", "asked", seconds=20)
            ask(server, 17)
            count = str(hellos(server))
            terminal.until(lambda text: shown(text) == count, f"/hello counts {count}")
            terminal.until(lambda text: "asked" in text and "STALE" not in text, "that is no old news", 20)
            os.kill(server.pid, signal.SIGCONT)  # the master replaces the aggregator
            terminal.shows("healthy", "live", seconds=40)
            terminal.press("q")
            assert terminal.wait() == 0
            assert ended_well(terminal)


def test_an_outage_is_on_the_screen(tmp_path: Path) -> None:
    """Told by the admin server: all threads busy, since when, with which requests; and the reason in words."""
    with Server(tmp_path, bind=f"unix:{tmp_path}/http.sock", workers=1, threads=2, interval=0.2) as server:
        admin = ["--url", f"unix:{server.admin_address}"]
        with Pseudo([sys.executable, "-m", "hvd", "top", *admin], 100, 30, ENVIRON) as terminal:
            terminal.shows("healthy", "live", "Capacity  ░░░░░░░░░░ 0 of 2 busy")
            clients = [connect(server.address) for _ in range(2)]
            for number, client in enumerate(clients):
                client.sendall(f"GET /slow/{number}?s=600 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            screen = terminal.shows("degraded", "saturated: all 2 threads busy", "2 of 2 busy for", "GET /slow")
            assert re.search(rf"\d\.\ds  GET /slow/[01]  worker {server.pids('worker')[0]}", screen), screen
            terminal.press("q")
            assert terminal.wait() == 0
            for client in clients:
                client.close()
        for pid in server.pids("worker"):
            os.kill(pid, signal.SIGKILL)  # it would not end in time


def test_who_does_not_answer_is_unreachable_and_who_says_nothing_unknown(tmp_path: Path) -> None:
    """Neither is ever shown as healthy; when the daemon is there again so is its health."""
    server = Server(tmp_path, bind=f"unix:{tmp_path}/http.sock", workers=1, interval=0.2)
    with server, top(server, 80, 24, "--timeout", "20") as terminal:
        terminal.shows("healthy", "live")
        pids = [server.pid, *server.pids("worker"), *server.pids("aggregator")]
        with ExitStack() as stack:
            for pid in pids:
                stack.enter_context(stopped(pid))
            screen = terminal.shows("● unknown", "STALE", seconds=20)
            assert "healthy" not in screen
        terminal.shows("healthy", "live", seconds=40)
        server.kill_master()
        screen = terminal.shows("● unreachable", "No connection", seconds=40)
        assert "healthy" not in screen
        terminal.press("q")
        assert terminal.wait() == 0
        assert ended_well(terminal)
