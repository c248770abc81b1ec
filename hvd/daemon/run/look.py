"""A look at an app before it is served, in a process of its own: can it be imported, and which interface has it?

Were it imported in the master, its threads and connections would be there before the workers, and a reload would not
bring a changed app. A worker that can't import it says so in 50 lines, and each worker does.
"""

import json
import os
import signal
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gunicorn.errors import AppImportError

from hvd.core.proc import die_with_parent
from hvd.instrument.apply import is_asgi, is_awaited, takes
from hvd.texts import suggestion

USUAL = ("app", "application", "api", "create_app", "make_app", "get_app")
"""Names that apps and their factories have."""

COMPLAINT_MAX = 600  # characters: some errors tell a whole file


class Look(NamedTuple):
    """`trouble` is what is wrong with the app, in a line, and "" if it can be served; `is_awaited` of an ASGI app says
    whether uvicorn takes it for one.
    """

    is_asgi: bool = False
    trouble: str = ""
    is_awaited: bool = False


def look_at(name: str, load: Callable[[], Any], *, any_interface: bool = False) -> Look:
    """What `load` gives, or why it can't, called in a process that ends then; `name` is how the app was named.

    `any_interface`: accept an interface that hvd doesn't know, as the server may know it.
    """
    receiver, sender = os.pipe()
    master = os.getpid()
    pid = os.fork()
    if not pid:
        try:
            os.close(receiver)
            die_with_parent(master, signal.SIGKILL)
            os.write(sender, json.dumps(_look(name, load, any_interface)).encode() + b"\n")
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(0)
    os.close(sender)
    with open(receiver, encoding="utf-8") as reports:
        report = reports.readline()  # to its end only: what the app has started may hold the pipe open
    _, status = os.waitpid(pid, 0)
    if not report:
        return Look(trouble=f"{name} can't be imported: the process that did so ended, with status {status}")
    return Look(*json.loads(report))


def _look(name: str, load: Callable[[], Any], any_interface: bool) -> Look:
    try:
        app = load()
    except BaseException as error:
        return Look(trouble=complaint(name, error)[:COMPLAINT_MAX])
    if is_asgi(app):
        return Look(is_asgi=True, is_awaited=is_awaited(app))
    is_factory = not name.endswith(")") and takes(app, 0)
    if takes(app, 2) or (any_interface and not is_factory):
        return Look()
    hint = f": is it a factory? Then name it {name}()" if is_factory else ""
    return Look(trouble=f"{name} is no WSGI or ASGI app: it takes no (environ, start_response){hint}")


def complaint(name: str, error: BaseException) -> str:
    """Why an app of that name could not be loaded, in a line, with the place in its code."""
    module, _, wanted = name.partition(":")
    if isinstance(error, AppImportError):
        return f"{name} can't be served: {_of_attribute(module, wanted or 'application', error)}"
    if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
        here = [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
        return (
            f"{name} can't be served: there is no module {error.name!r} in {Path.cwd()}{suggestion(error.name, here)}"
        )
    text = " ".join(str(error.msg if isinstance(error, SyntaxError) else error).split())
    return f"{name} can't be imported: {type(error).__name__}{text and ': '}{text}{_place(error)}"


def _of_attribute(module: str, wanted: str, error: AppImportError) -> str:
    attribute = wanted.partition("(")[0]
    names = dir(sys.modules.get(module))
    if attribute in names:
        return str(error)
    near = suggestion(attribute, [*_apps(module)])
    usual = [usual for usual in USUAL if usual in names]
    return f"module {module} has no {attribute!r}" + (near or (f"; it has {', '.join(usual)}" if usual else ""))


def _apps(module: str) -> Iterator[str]:
    """What of that module may be an app or a factory."""
    for name, value in vars(sys.modules[module]).items() if module in sys.modules else ():
        if callable(value) and not name.startswith("_"):
            yield name


def _place(error: BaseException) -> str:
    """The last line of the user's own code that led to it."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({_short(error.filename)}, line {error.lineno})"
    libraries = tuple(sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib"))
    own = str(Path(__file__).parents[2])
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*libraries, own, "<"))
    ]
    return f" ({_short(frames[-1].filename)}, line {frames[-1].lineno}: {frames[-1].line})" if frames else ""


def _short(path: str) -> str:
    return os.path.relpath(path) if path.startswith(os.getcwd() + os.sep) else path
