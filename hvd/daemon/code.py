"""hvd's code as it was when the daemon started: a running daemon goes on with it when hvd's files are replaced.

Workers are forked, and have the code. Companions and the job runner's guard are executed, again whenever one has ended;
in newer files options or the block's layout might mean something else. So the master has a zip archive of the package
in a memory file, which they inherit and find first (PYTHONPATH). A compiled module can't be loaded from an archive: it
is loaded from its own file, which the master holds open. Other packages are loaded from the disk.
"""

import fcntl
import marshal
import os
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

import hvd
from hvd.companion.options import DESCRIPTOR

STATIC = "web/static"
"""The folder of the page's files, which the admin server reads from the archive."""

_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_PYC_HEAD = MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
"""The head of a file whose validity is a hash that nobody checks (PEP 552), as there is no source beside it."""

_COMPILED = """\
import sys
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_loader

loader = ExtensionFileLoader(__name__, {path!r})
module = sys.modules[__name__] = module_from_spec(spec_from_loader(__name__, loader))
loader.exec_module(module)
"""


@dataclass(frozen=True)
class Code:
    """Descriptors of the archive and of the compiled modules; none where processes use the code on the disk."""

    fds: tuple[int, ...] = ()

    @property
    def archive(self) -> str:
        """A path for sys.path, in every process that has the descriptors."""
        return DESCRIPTOR.format(self.fds[0])

    def environ(self, masters: Mapping[str, str]) -> dict[str, str]:
        """The environment of a process that inherits the descriptors, so that it finds the archive first."""
        if not self.fds:
            return dict(masters)
        path = os.pathsep.join(filter(None, (self.archive, masters.get("PYTHONPATH"))))
        return {**masters, "PYTHONPATH": path}


def take_into_memory(*, app: bool, jobs: bool) -> Code:
    """In a master, before its first fork: from now on neither it nor any process that it starts needs hvd's files.

    Its workers share what is imported here: hvd's `app`, which a guest's don't serve, and what they need of `jobs`.
    """
    if app:
        import_module("hvd.web.wsgi")  # and the page, which is read when the app is made
    if jobs:
        import_module("hvd.jobs.service")
    code = archive_code()
    for name, module in list(sys.modules.items()):  # what is not imported yet is from now on found in the archive
        if code.fds and name.partition(".")[0] == "hvd" and hasattr(module, "__path__"):
            module.__path__ = [f"{code.archive}/{name.replace('.', '/')}"]
    return code


def archive_code() -> Code:
    """Make the archive of the code on the disk; an empty Code where there are no memory files, or no /proc."""
    fds: list[int] = []
    try:
        fds.append(os.memfd_create("hvd-code", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        with open(fds[0], "wb", closefd=False) as file, zipfile.ZipFile(file, "w") as archive:
            for name, code in _modules(Path(hvd.__file__).parent, fds):
                archive.writestr(name, _PYC_HEAD + marshal.dumps(code))
            for path in sorted((Path(hvd.__file__).parent / STATIC).iterdir()):
                archive.write(path, path.relative_to(Path(hvd.__file__).parents[1]))
        fcntl.fcntl(fds[0], fcntl.F_ADD_SEALS, _SEALS)  # a companion may have less rights than another one
        if not zipfile.is_zipfile(DESCRIPTOR.format(fds[0])):
            raise OSError("no /proc")
    except (OSError, ImportError, SyntaxError):
        for fd in fds:
            os.close(fd)
        return Code()
    return Code(tuple(fds))


def _modules(package: Path, fds: list[int]) -> Iterator[tuple[str, CodeType]]:
    """Each module's name in the archive and its code; compiled ones are opened, and their descriptors added."""
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package.parent)
        name = ".".join(inside.with_suffix("").parts)
        code = SourceFileLoader(name, str(path)).get_code(name)
        if code:
            yield f"{inside}c", code
    for path in sorted(package.rglob(f"*{EXTENSION_SUFFIXES[0]}")):
        fds.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        stub = _COMPILED.format(path=DESCRIPTOR.format(fds[-1]))
        inside = path.relative_to(package.parent)
        yield str(inside.with_name(path.name.partition(".")[0] + ".pyc")), compile(stub, str(path), "exec")
