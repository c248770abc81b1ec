"""`hvd stacks`: its text, and what it says where there are none."""

import json

import pytest

from hvd.cli.main import main
from hvd.cli.stacks import process_lines
from tests.unit.cli.daemon import Json, daemon, run
from tests.unit.cli.test_frames import APP, LIBRARY, POOL_FRAME

SELECT = {"file": "/usr/lib/python3.11/selectors.py", "line": 468, "function": "EpollSelector.select"}
SLOW = {"method": "GET", "path": "/slow", "age_seconds": 18.24}
PROCESS: Json = {
    "pid": 4711,
    "slot": 12,
    "kind": "worker",
    "taken_age_seconds": 0.0123,
    "threads": [
        {"thread": 1, "is_current": True, "request": None, "frames": [LIBRARY]},
        {"thread": 2, "is_current": False, "request": None, "frames": [POOL_FRAME, LIBRARY]},
        {"thread": 3, "is_current": False, "request": SLOW, "frames": [LIBRARY, APP, POOL_FRAME]},
        {"thread": 5, "is_current": False, "request": None, "frames": [SELECT]},
        {"thread": 4, "is_current": False, "request": None, "frames": [POOL_FRAME]},
    ],
}

TEXT = """\
worker 4711, slot 12, 5 threads, seen 0.0s ago
  GET /slow 18.2s
    /usr/lib/python3.11/json/decoder.py:353 in raw_decode
  > /srv/shop/report.py:41 in build
    /usr/lib/python3.11/concurrent/futures/thread.py:81 in _worker
  no request
    /usr/lib/python3.11/json/decoder.py:353 in raw_decode
  1 waiting for connections, 2 idle in the pool
"""


def test_requests_come_first_and_idle_threads_are_summed_up() -> None:
    """Frames of the app are marked, the innermost first."""
    assert "\n".join(process_lines(PROCESS, all_threads=False)) == TEXT
    everything = "\n".join(process_lines(PROCESS, all_threads=True))
    assert everything.count("thread.py:81") == 3
    assert "idle" not in everything
    assert "GET /slow 18.2s  thread 3\n" in everything


def test_a_loop_s_thread_is_shown_as_the_request_that_it_serves() -> None:
    """Once: both have the same frames."""
    served = {"thread": 3, "request": SLOW, "frames": [LIBRARY, APP]}
    same, other = ({"thread": 1, "request": None, "frames": frames} for frames in ([LIBRARY, APP], [APP]))
    text = "\n".join(process_lines({"threads": [same, served, other]}, all_threads=False))
    assert (text.count("no request"), text.count("GET /slow")) == (1, 1)
    assert "\n".join(process_lines({"threads": [same, served]}, all_threads=True)).count("no request") == 1


def test_missing_fields_are_dashes() -> None:
    """No traceback for what somebody sent."""
    assert process_lines({}, all_threads=False) == ["- -, slot -, 0 threads, seen - ago", ""]
    (first, head, frame, _) = process_lines({"threads": [{"request": {}, "frames": None}]}, all_threads=False)
    assert "1 thread," in first
    assert (head, frame) == ("  - - -", "    -")
    assert "\x1b" not in "".join(process_lines({"kind": "\x1b[2J"}, all_threads=False))


def test_they_are_asked_for_and_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Of one process, or of all; as text, or as the daemon answers."""
    with daemon((200, {"processes": [PROCESS]})) as (url, requests):
        assert main(["stacks", "--url", url]) == 0
        assert capsys.readouterr().out == f"{TEXT}\n"
        assert main(["stacks", "4711", "--json", "--url", url]) == 0
        assert json.loads(capsys.readouterr().out) == {"processes": [PROCESS]}
    assert [request.path for request in requests] == ["/api/v1/stacks", "/api/v1/stacks?pid=4711"]
    with daemon((200, {"processes": []})) as (url, _):
        assert main(["stacks", "--url", url]) == 0
        assert capsys.readouterr().out == "no worker lives\n"


def test_why_there_are_none_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Of one process beside others whose stacks came; and by the exit status, where none came."""
    late = {"pid": 4712, "slot": 13, "kind": "worker", "threads": [], "error": "its master is stopped"}
    for processes, code in (([PROCESS, late], 0), ([late], 5)):
        with daemon((200, {"processes": processes})) as (url, _):
            assert main(["stacks", "--url", url]) == code
        assert "slot 13, 0 threads, seen - ago\n  ! its master is stopped\n" in capsys.readouterr().out


def test_the_service_s_address_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    """It says who has them; a process that isn't there is told in the daemon's words."""
    for arguments in ([], ["4711"]):
        with daemon((404, {"title": "404 Not Found", "detail": "Nothing is here."})) as (url, _):
            assert main(["stacks", *arguments, "--url", url]) == 5
            assert "it is not the daemon's admin server, whose address hvd list shows" in capsys.readouterr().err
    with daemon((403, {"detail": "needs admin"})) as (url, _):
        assert main(["stacks", "--url", url]) == 5
        assert "needs admin (hvd: set HVD_TOKEN" in capsys.readouterr().err
    with daemon((200, {"stacks": "another service's"})) as (url, _):
        assert main(["stacks", "--url", url]) == 1
        assert "it is not hvd" in capsys.readouterr().err
    with daemon((404, {"title": "404 Not Found", "detail": "pid 4711 is no worker"})) as (url, _):
        assert main(["stacks", "4711", "--url", url]) == 5
        assert "pid 4711 is no worker" in capsys.readouterr().err


@pytest.mark.parametrize("pid", ["0", "-1", "x", "99999999999"])
def test_what_is_no_pid_is_refused(pid: str) -> None:
    """By the command itself."""
    done = run("stacks", pid)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: hvd stacks")
