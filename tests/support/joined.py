"""A process that is no worker of a daemon, and joins it; a test tells it what to do, a line at a time."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.support.server import ROOT
from tests.support.waiting import PATIENCE

SCRIPT = """\
import os, signal, sys, threading
from wsgiref.util import setup_testing_defaults
import hvd

hvd.join(sys.argv[1])
goes_on = threading.Event()

def serve(path="/"):
    environ = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    assert list(app(environ, lambda status, headers, exc_info=None: None)) == [b"ok"]

def answer(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        goes_on.wait()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

app = hvd.count(answer)

def begin(number):
    begun = [threading.Thread(target=serve, args=("/slow",)) for _ in range(number)]
    threads.extend(begun)
    for thread in begun:
        thread.start()

def fork(number):
    for _ in range(number):
        if not os.fork():
            serve()
            begin(1)
            signal.pause()

def end():
    goes_on.set()
    for thread in threads:
        thread.join()

threads = []
print("joined", flush=True)
for line in sys.stdin:
    word, number = line.split()
    if word == "serve":
        for _ in range(int(number)):
            serve()
    else:
        {"begin": begin, "fork": fork, "end": lambda _: end()}[word](int(number))
    print(word, flush=True)
"""


class Joined:
    """Use it as a context manager: in the end it is told to exit, and must not fail."""

    def __init__(self, folder: Path, instance: str) -> None:
        script = folder / "joined.py"
        script.write_text(SCRIPT)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HVD_")}
        self.process = subprocess.Popen(
            [sys.executable, str(script), instance],
            env={**environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
            text=True,
        )
        self._expect("joined")

    def do(self, word: str, number: int = 0) -> None:
        """`serve` so many requests, `begin` so many that take until `end`; `fork` children that do one of each."""
        assert self.process.stdin
        self.process.stdin.write(f"{word} {number}\n")
        self.process.stdin.flush()
        self._expect(word)

    def _expect(self, word: str) -> None:
        assert self.process.stdout
        assert self.process.stdout.readline().strip() == word

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.close()
            if kind is None:
                assert self.process.wait(30 * PATIENCE) in (0, -9)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
