"""A service of anybody's under hvd, as its user starts it: gunicorn with a gunicorn.conf.py of its own."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.http import Response
from tests.support.server import ROOT, Server

INSTALL = "import hvd.gunicorn; hvd.gunicorn.install(globals())\n"

HELLO = """\
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


class Guest(Server):
    """`files` are written into the folder, `conf` is what its gunicorn.conf.py has before hvd's line, which is `line`.
    Not `named`, its instance is that of its bind.

    `get` and `connection` go to the service; what hvd tells (health, snapshot, metrics) comes from the admin server.
    """

    def __init__(
        self,
        folder: Path,
        *,
        app: str = "shop:app",
        files: Mapping[str, str] | None = None,
        conf: str = "",
        line: str = INSTALL,
        arguments: tuple[str, ...] = (),
        bind: str = "127.0.0.1:0",
        workers: int = 2,
        environ: Mapping[str, str] | None = None,
        named: bool = True,
        **settings: object,
    ) -> None:
        super().__init__(
            folder,
            app=app,
            bind=bind,
            instance=None if named else bind.replace(":", "-"),
            arguments=("-b", bind, "-w", str(workers), *arguments),
            environ={**(environ or {}), "PYTHONPATH": f"{folder}:{ROOT}"},
            **settings,
        )
        if not named:
            self.mark = "GUEST"
            self._environ[self.mark] = self._environ.pop("HVD_INSTANCE")
        del self._environ["HVD_BIND"]
        for name, text in ({"shop.py": HELLO} if files is None else files).items():
            (folder / name).write_text(text)
        (folder / "gunicorn.conf.py").write_text(conf + line)
        self.command[self.command.index("python:hvd.gunicorn_conf")] = "gunicorn.conf.py"

    def hvd_get(self, path: str, **headers: str) -> Response:
        return self.admin_get(path, **headers)


class Run(Guest):
    """The same by `hvd run`, with `options` of that command; `conf` is a gunicorn.conf.py without hvd's line."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        app: str = "shop:app",
        bind: str = "127.0.0.1:0",
        conf: str = "",
        **others: Any,
    ) -> None:
        super().__init__(folder, app=app, bind=bind, **others)
        own = folder / "gunicorn.conf.py"
        own.unlink()
        if conf:
            own.write_text(conf)
        named = [app] if app else []
        self.command = [str(Path(sys.executable).with_name("hvd")), "run", *named, "--bind", bind, *options]
