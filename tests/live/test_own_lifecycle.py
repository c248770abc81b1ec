"""The app's own metrics are counted in every process there is, and exact whatever ends it."""

import mmap
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.guest import Guest
from tests.support.server import ROOT
from tests.support.waiting import PATIENCE, until

WORKERS, THREADS = 8, 64

METRICS = """\
from hvd import Counter, Gauge, Histogram

IMPORTED = Counter("imported", "How often this was imported, anywhere.")
CHILDREN = Counter("by_children", "What children have counted.", ["how"])
MINE = Counter("mine", "Of one thread.", ["pid", "thread"])
FLOATS = Counter("floats", "Of all threads, by halves.")
SIZES = Histogram("sizes", "Of all threads.", buckets=(1, 2))
LEVEL = Gauge("level", "The highest of any process.", multiprocess_mode="max")
ALIVE = Gauge("alive", "One of each process alive.", multiprocess_mode="livesum")
"""

SHOP = f"""\
import mmap, multiprocessing, os, subprocess, sys, threading, time
from work import count
from metrics import *

IMPORTED.inc()
HERE = os.path.dirname(os.path.abspath(__file__))

def executed(how, times):
    subprocess.run([sys.executable, "work.py", how, str(times)], cwd=HERE, check=True)

def app(environ, start_response):
    how = environ["PATH_INFO"].strip("/")
    if how == "execute":
        executed(how, 5)
    elif how == "os.fork":
        if not (pid := os.fork()):
            count(how, 5)
            os._exit(0)
        os.waitpid(pid, 0)
    elif how:
        process = multiprocessing.get_context(how).Process(target=count, args=(how, 5))
        process.start()
        process.join()
        assert process.exitcode == 0
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def begin():
    LEVEL.set(os.getpid())
    ALIVE.set(1)
    threading.Thread(target=wait, daemon=True).start()

def wait():
    while not os.path.exists(HERE + "/go"):
        time.sleep(0.05)
    path = HERE + f"/returned-{{os.getpid()}}"
    with open(path + ".new", "w+b") as file:
        file.truncate({THREADS * 8})
        cells = memoryview(mmap.mmap(file.fileno(), {THREADS * 8})).cast("q")
    os.rename(path + ".new", path)
    for number in range({THREADS}):
        threading.Thread(target=go, args=(cells, number), daemon=True).start()

def go(cells, number):
    mine = MINE.labels(str(os.getpid()), str(number))
    while not os.path.exists(HERE + "/stop"):
        for _ in range(300):
            FLOATS.inc(0.5)
            SIZES.observe(2)
            mine.inc()
            cells[number] += 1
        time.sleep(0.3)  # or five hundred threads leave no processor to the tests beside
"""

WORK = """\
import sys
from metrics import CHILDREN

def count(how, times):
    for _ in range(times):
        CHILDREN.labels(how).inc()

if __name__ == "__main__":
    count(sys.argv[1], int(sys.argv[2]))
"""

CONF = """\
preload_app = True

def post_worker_init(worker):
    import shop
    shop.begin()
"""

TASKS = """\
import hvd
from celery import Celery
from work import count

hvd.join()
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "queue"}

@app.task
def work():
    count("joined", 1)
"""

SCRIPT = """\
import os, signal, sys, hvd
from work import count

hvd.join()
count("joined", 10)
print("counted", flush=True)
if not (child := os.fork()):
    count("joined", 10)
    print("counted", flush=True)
signal.pause()
"""


@contextmanager
def running(folder: Path, instance: str, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A process of this user beside the daemon; it, and what it has forked, is killed in the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
    environ |= {"PYTHONPATH": f"{folder}:{ROOT}", "HVD_INSTANCE": instance, "HVD_STATE_DIR": str(folder)}
    with (folder / f"{Path(command[-1]).name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=log,
            process_group=0,
            text=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stdout
        process.stdout.close()


def returned(folder: Path) -> Counter[tuple[str, str]]:
    """How many rounds of each thread have returned, by pid and number."""
    found: Counter[tuple[str, str]] = Counter()
    for path in folder.glob("returned-*[0-9]"):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            cells = memoryview(bytes(data)).cast("q")
        for number, count in enumerate(cells):
            found[path.name.rpartition("-")[2], str(number)] = count
    return found


def own(guest: Guest) -> dict[str, float]:
    """What stays the same for as long as nobody counts."""
    names = re.compile(r"(by_children|mine|floats|sizes)_?(total|sum|count|bucket)?")
    return {
        f"{name}{sorted(labels)}": value
        for (name, labels), value in guest.admin_metrics().items()
        if names.fullmatch(name)
    }


def one(guest: Guest, name: str, **labels: str) -> float:
    return guest.admin_metrics().get((name, frozenset(labels.items())), 0.0)


def test_it_is_exact_in_every_process_whatever_ends_it(tmp_path: Path) -> None:
    """Master, workers, children of each kind, a task queue, a script; killed by SIGKILL, stopped, and started again."""
    files = {"shop.py": SHOP, "metrics.py": METRICS, "work.py": WORK, "tasks.py": TASKS, "script.py": SCRIPT}
    environ = {"STATE_DIRECTORY": str(tmp_path / "state")}
    guest = Guest(tmp_path, files=files, conf=CONF, workers=WORKERS, environ=environ, interval=0.5, slots=40)
    (tmp_path / "queue").mkdir()
    with guest:
        assert one(guest, "imported_total") == 1, "in the master alone"
        until(lambda: one(guest, "alive") == WORKERS, "each has set its gauge")
        children_count(guest)
        joined_processes_count(guest, tmp_path)
        threads_count_while_workers_are_killed(guest, tmp_path)
        before = own(guest)

        level = one(guest, "level")
        assert level > 0

        guest.reload()
        assert own(guest) == before
        assert one(guest, "level") >= level, "the highest pid of all, alive or not"
        assert one(guest, "imported_total") == 1

        guest.kill_master()
        guest.start()
        assert own(guest) == before
        assert one(guest, "imported_total") == 2, "once in each master"
        assert guest.samples("hvd_process_exits_total", "kind", "cause")["master", "unknown"] == 1

        until(lambda: one(guest, "alive") == WORKERS, "each has set its gauge")
        level = one(guest, "level")
        guest.signal(signal.SIGTERM)
        assert guest.wait() == 0
        assert not guest.block.exists()
        guest.start()
        until(lambda: one(guest, "alive") == WORKERS, "each has set its gauge")
        assert own(guest) == before
        assert one(guest, "level") >= level
        assert one(guest, "imported_total") == 3
    assert "Traceback" not in guest.log


def children_count(guest: Guest) -> None:
    """Forked, spawned, of a fork server, executed: what they have counted is there as soon as they have ended."""
    for how in ("fork", "spawn", "forkserver", "os.fork", "execute"):
        with guest.connection(timeout=60 * PATIENCE) as connection:
            assert connection.get(f"/{how}").status == 200
        assert one(guest, "by_children_total", how=how) == 5
    until(lambda: not guest.pids("joined"), "their slots are free again")


def joined_processes_count(guest: Guest, folder: Path) -> None:
    """Celery's, forked from one that has joined, and a script's with its child: all killed."""
    submit = "import tasks\nfor _ in range(50): tasks.work.delay()"
    with running(folder, guest.instance, "-c", submit) as submitting:
        assert submitting.wait(60 * PATIENCE) == 0
        with (
            running(folder, guest.instance, "-m", "celery", "-A", "tasks", "worker", "-c", "2", "-P", "prefork"),
            running(folder, guest.instance, "script.py") as script,
        ):
            assert script.stdout
            assert [script.stdout.readline() for _ in range(2)] == ["counted\n"] * 2
            until(lambda: one(guest, "by_children_total", how="joined") == 50 + 20, "all tasks are counted", 60)
    until(lambda: not guest.pids("joined"), "all slots come back")
    assert one(guest, "by_children_total", how="joined") == 50 + 20


def threads_count_while_workers_are_killed(guest: Guest, folder: Path) -> None:
    """Each increment that has returned is there, whoever was killed when; of one thread's series as of all threads'."""
    (folder / "go").touch()
    killed = list[int]()

    def all_count() -> bool:
        return sum(map(bool, returned(folder).values())) >= THREADS * (WORKERS + len(killed))

    for _ in range(4):
        until(all_count, "all threads count", 60)
        victim = guest.pids("worker")[len(killed) % 3]
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
        until(lambda: not {*killed} & {*guest.pids("worker")}, "it is gone")
    until(lambda: one(guest, "alive") == WORKERS, "a gauge of the dead is gone, and the next ones have set theirs")
    (folder / "stop").touch()
    last = Counter[tuple[str, str]]()

    def rest() -> bool:
        nonlocal last
        before, last = last, returned(folder)
        return before == last

    until(rest, "no thread counts any more", 60)
    (folder / "go").unlink()
    rounds, mine = sum(last.values()), guest.samples("mine_total", "pid", "thread")
    assert rounds > THREADS * WORKERS * 50
    assert all(0 <= mine[thread] - last[thread] <= 1 for thread in last)
    for count in (one(guest, "floats_total") * 2, one(guest, "sizes_count"), one(guest, "sizes_sum") / 2):
        assert 0 <= count - rounds <= len(killed) * THREADS
