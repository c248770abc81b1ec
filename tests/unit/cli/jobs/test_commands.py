"""`hvd jobs`: what it asks of the daemon, what it prints, its exit codes, and that nothing ends in a traceback."""

import json
import os
import pty
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.daemon import ID, OTHER, daemon, job, jobs_answer, run

KINDS = 200, {"kinds": {"convert": {"params": {"source": {"type": "path"}, "level": {"type": "int"}}}, "noop": {}}}
TAKEN = 202, {"job_ids": [ID], "accepted": 1, "rejected": 0, "errors": []}
REFUSED = 404, {"status": 404, "detail": "No kinds\x1b of job"}


def jobs(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`hvd jobs` in a process of its own."""
    return run("jobs", *args, **more)


def test_a_job_is_submitted_with_the_types_that_its_kind_has() -> None:
    """Numbers only where the kind wants numbers; options may stand anywhere. Its id is all that is printed."""
    words = ["convert", "--name", "a b", "source=/a=b", "--key", "k 1", "level=-7"]
    with daemon(KINDS, TAKEN) as (url, requests):
        done = jobs("submit", *words, "--url", url, HVD_TOKEN="0123456789abcdef-token")
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, [ID], "")
    assert requests[1].body == {"kind": "convert", "params": {"source": "/a=b", "level": -7}, "name": "a b"}
    assert requests[1].headers["Idempotency-Key"] == "k 1"
    assert requests[1].headers["Authorization"] == "Bearer 0123456789abcdef-token"
    assert "Authorization" not in requests[0].headers


@pytest.mark.parametrize(
    ("text", "sent"),
    [("level=x", "x"), ("level=", ""), ("level=1.5", "1.5"), ("level=٣", "٣"), ("level=" + "9" * 30, "9" * 30)],
)
def test_what_is_no_number_is_the_daemons_to_refuse(text: str, sent: str) -> None:
    """It names the place."""
    with daemon(KINDS, TAKEN) as (url, requests):
        jobs("submit", "--url", url, "convert", text)
    assert requests[1].body["params"] == {"level": sent}


def test_an_unknown_kind_is_the_daemons_to_refuse() -> None:
    """With its words."""
    refusal = 422, {"detail": "/kind: no kind", "errors": [{"pointer": "/kind", "detail": "no kind"}]}
    with daemon(KINDS, refusal) as (url, requests):
        done = jobs("submit", "x", "a=1", "--url", url)
    assert (done.returncode, done.stderr.splitlines()) == (5, [f"hvd: {url} refused (422): /kind: no kind"])
    assert requests[1].body == {"kind": "x", "params": {"a": "1"}}


def test_a_file_of_jobs_is_submitted(tmp_path: Path) -> None:
    """Or what stdin has; those refused are told, and the exit code says so."""
    body = {"jobs": [{"kind": "noop", "params": {"ä": 1.5}}, {}]}
    answer = TAKEN[1] | {"rejected": 1, "errors": [{"pointer": "/jobs/1/kind", "detail": "is missing"}]}
    file = tmp_path / "jobs.json"
    file.write_text(json.dumps(body), encoding="utf-8")
    for name in (str(file), "-"):
        with daemon((202, answer)) as (url, requests):
            done = jobs("submit", "--json", name, "--url", url, stdin=file.read_text(encoding="utf-8"))
        assert (done.returncode, done.stdout.splitlines()) == (5, [ID])
        assert done.stderr.splitlines() == ["hvd: not taken: /jobs/1/kind: is missing"]
        assert requests[0].body == body


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "give a KIND"),
        (["convert", "source"], "no NAME=VALUE"),
        (["convert", "=x"], "no NAME=VALUE"),
        (["convert", "a=1", "a=2"], "given twice"),
        (["convert", "--key", ""], "a key is"),
        (["convert", "--key", "a\nb"], "a key is"),
        (["convert", "--key", "ä"], "a key is"),
        (["convert", "--json", "-"], "neither KIND"),
        (["--json", "-", "--name", "x"], "neither KIND"),
        (["--json", "/nowhere/at all"], "can't be read (No such file"),
        (["--json", "/"], "can't be read (Is a directory"),
        (["--json", "-"], "not JSON"),
        (["convert", "--url", "ftp://x"], "is no address"),
    ],
)
def test_wrong_submissions_end_with_2(args: list[str], said: str) -> None:
    """Before the daemon is asked to take anything."""
    with daemon(KINDS) as (url, requests):
        done = jobs("submit", *args, *([] if "--url" in args else ["--url", url]), stdin="{")
    assert done.returncode == 2
    assert said in done.stderr
    assert all(request.method == "GET" for request in requests)


def test_a_file_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    """The daemon would close the connection in the middle."""
    file = tmp_path / "jobs.json"
    file.write_bytes(b" " * (1024 * 1024 + 1))
    done = jobs("submit", "--json", str(file), "--url", f"unix:{tmp_path}/none")
    assert (done.returncode, "in several files" in done.stderr) == (2, True)


def test_a_list_is_a_table_or_json() -> None:
    """The filters are the daemon's; the next page is pointed to."""
    page = {"jobs": [job(progress=50, name="ü\x1b")], "next": ID, "total": 497}
    with daemon((200, page)) as (url, requests):
        filters = ["--status", "pending,running", "--kind", "a", "--limit", "7", "--before", OTHER, "--search", "a b"]
        done = jobs("list", *filters, "--url", url)
        assert done.returncode == 0
        assert done.stdout.splitlines()[1].split() == [ID, "running", "50%", "checksum", "-", "-", "ü\\x1b"]
        assert done.stderr.splitlines() == [f"497 in all; older ones: --before {ID}"]
        assert "\\xfc\\x1b" in jobs("list", "--url", url, PYTHONIOENCODING="ascii").stdout
        assert json.loads(jobs("list", "--json", "--url", url).stdout) == page
    assert requests[0].path == f"/jobs?status=pending%2Crunning&kind=a&search=a+b&limit=7&before={OTHER}"
    assert requests[1].path == "/jobs?limit=50"


@pytest.mark.parametrize("args", [["--status", "done"], ["--status", ""], ["--limit", "0"], ["--limit", "501"], ["x"]])
def test_wrong_lists_end_with_2(args: list[str]) -> None:
    """As argparse does."""
    assert jobs("list", *args).returncode == 2


def test_a_job_and_the_kinds_are_shown() -> None:
    """A line for each field, the kinds with their parameters, or JSON."""
    with daemon((200, job(output=["last lines"]))) as (url, requests):
        done = jobs("show", ID, "--url", url)
        assert ["status", "running"] in [line.split() for line in done.stdout.splitlines()]
        assert done.stdout.splitlines()[-1] == "  last lines"
        assert json.loads(jobs("show", ID, "--json", "--url", url).stdout)["id"] == ID
    assert requests[0].path == f"/jobs/{ID}"
    with daemon(KINDS) as (url, _):
        assert jobs("kinds", "--url", url).stdout.splitlines()[0] == "convert"
        assert json.loads(jobs("kinds", "--json", "--url", url).stdout) == KINDS[1]["kinds"]


def test_jobs_are_cancelled() -> None:
    """5 if one could not be."""
    answer = {"cancelled": [ID], "cancelling": [OTHER], "ended": [], "unknown": []}
    with daemon((200, answer), (200, answer | {"ended": ["x"], "unknown": ["\x1b"]})) as (url, requests):
        done = jobs("cancel", ID, OTHER, "--url", url)
        assert (done.returncode, done.stdout.splitlines()) == (0, [f"{ID}  cancelled", f"{OTHER}  told to end"])
        done = jobs("cancel", ID, "--url", url)
        assert (done.returncode, done.stdout.splitlines()[2:]) == (5, ["x  had ended", "\\x1b  no such job"])
    assert requests[0].body == {"ids": [ID, OTHER]}


def test_a_job_is_retried() -> None:
    """Its new id is printed; with the token, the key, and the new job's end as the exit code."""
    with daemon((202, job("pending", OTHER)), (202, job("pending", OTHER)), jobs_answer(job("failed", OTHER))) as (
        url,
        requests,
    ):
        done = jobs("retry", ID, "--key", "k 1", "--url", url, HVD_TOKEN="0123456789abcdef-token")
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{OTHER}\n", "")
        assert jobs("retry", ID, "--wait", "--url", url).returncode == 4
    assert (requests[0].method, requests[0].path) == ("POST", f"/jobs/{ID}/retry")
    assert requests[0].headers["Idempotency-Key"] == "k 1"
    assert requests[0].headers["Authorization"] == "Bearer 0123456789abcdef-token"
    assert requests[2].body == {"ids": [OTHER]}


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("failed", 4), ("cancelled", 4)])
def test_waiting_ends_as_the_jobs_end(status: str, code: int) -> None:
    """With a line for each step where stdout is no terminal."""
    steps = job("pending"), job(progress=50), job(status, error="e")
    with daemon(*map(jobs_answer, steps)) as (url, _):
        done = jobs("wait", ID, "--url", url)
    assert done.returncode == code
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["pending", "running", status]
    assert ("not completed" in done.stderr) == bool(code)


def test_submit_can_wait() -> None:
    """Its exit code is then the jobs'."""
    with daemon(KINDS, TAKEN, jobs_answer(job("failed"))) as (url, _):
        done = jobs("submit", "noop", "--wait", "--url", url)
    assert done.returncode == 4
    assert [line.split()[0] for line in done.stdout.splitlines()] == [ID, ID]


def test_waiting_has_an_end(tmp_path: Path) -> None:
    """6 when jobs are still open, 1 when there is no daemon, 5 when there is no such job."""
    with daemon(jobs_answer(job())) as (url, _):
        done = jobs("wait", ID, "--timeout", "0.2", "--url", url)
        assert (done.returncode, done.stderr.splitlines()) == (6, ["hvd: 1 of 1 jobs had not ended after 0.2 s"])
    with daemon(jobs_answer(unknown=(ID,))) as (url, _):
        assert jobs("wait", ID, "--url", url).returncode == 5
    nobody = f"unix:{tmp_path}/none"
    done = jobs("wait", ID, "--timeout", "1", "--url", nobody)
    assert done.returncode == 1
    assert len([line for line in done.stderr.splitlines() if "trying on" in line]) == 1
    assert jobs("wait", ID, "--url", nobody).returncode == 1
    for wrong in ("0", "nan", "inf", "x"):
        assert jobs("wait", ID, "--timeout", wrong).returncode == 2


@pytest.mark.parametrize(
    "command", [["kinds"], ["list"], ["show", ID], ["cancel", ID], ["wait", ID], ["submit", "a"], ["retry", ID]]
)
def test_a_refusal_is_told_in_the_daemons_words(command: list[str]) -> None:
    """5, one line; and 1 where no daemon is."""
    with daemon(REFUSED) as (url, _):
        done = jobs(*command, "--url", url)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.splitlines() == [f"hvd: {url} refused (404): No kinds\\x1b of job"]
    done = jobs(*command, "--url", url)
    assert (done.returncode, done.stdout) == (1, "")


def test_wrong_settings_are_told_where_they_matter() -> None:
    """The token comes from them; to look, no settings are needed beside --url."""
    with daemon((200, {"jobs": [], "cancelled": [ID]})) as (url, requests):
        assert jobs("list", "--url", url, HVD_WORKERS="none").returncode == 0
        assert jobs("cancel", ID, "--url", url, HVD_WORKERS="none").returncode == 2
    assert len(requests) == 1


def test_on_a_terminal_a_bar_is_drawn() -> None:
    """And its last state stays."""
    with daemon(jobs_answer(job(progress=50)), jobs_answer(job("completed", progress=100))) as (url, _):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "hvd", "jobs", "wait", ID, "--url", url],
            env={"TERM": "xterm", "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.PIPE,
        )
        os.close(theirs)
        text = b""
        while select.select([ours], [], [], 30)[0]:
            try:
                text += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
        assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0
    assert "━".encode() in text
    assert b"100%" in text
    assert b"completed" in text
