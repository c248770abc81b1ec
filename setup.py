"""What setup.cfg has no words for: the compiled hot path, and deploy/, which a wheel has as hvd/deploy_files.

HVD_BUILD_EXTENSION says whether it is built: `yes`, or the installation fails; `no`; unset: where it can be.
"""

import os
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# Unaligned, the hot functions would cost 3 to 5 % more or less with every line that is written before them.
FLAGS = ["-falign-functions=32", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
SOURCES = {
    "hvd.core._hotrow": ["hvd/core/_hotrow.c", "hvd/core/_hotentry.c", "hvd/core/_sums.c"],
    "hvd.instrument._counting": [f"hvd/instrument/{name}.c" for name in ("_counting", "_exchange", "_extras", "_asgi")],
}


class BuildWithDeployFiles(build_py):
    """Of deploy/ the files themselves: debian/ is for who builds a package. A checkout has deploy/ itself."""

    def _deploy_files(self):
        folder = Path(self.build_lib) / "hvd" / "deploy_files"
        return {str(path): str(folder / path.name) for path in sorted(Path("deploy").iterdir()) if path.is_file()}

    def run(self):
        super().run()
        if not self.editable_mode:
            for source, target in self._deploy_files().items():
                self.mkpath(os.path.dirname(target))
                self.copy_file(source, target)

    def get_output_mapping(self):
        return {**super().get_output_mapping(), **{target: source for source, target in self._deploy_files().items()}}

    def get_outputs(self, include_bytecode=True):
        return [*super().get_outputs(include_bytecode), *self._deploy_files().values()]


choice = os.environ.get("HVD_BUILD_EXTENSION", "").strip()
if choice not in ("", "yes", "no"):
    sys.exit(f"HVD_BUILD_EXTENSION is {choice!r}: it must be yes (or the installation fails), no, or unset")
setup(
    cmdclass={"build_py": BuildWithDeployFiles},
    ext_modules=[
        Extension(
            name,
            sources,
            depends=glob("hvd/*/*.h"),
            extra_compile_args=FLAGS,
            optional=choice != "yes",  # hvd counts in Python then: hvd/core/hotrow.py, hvd/instrument/wsgi.py
        )
        for name, sources in SOURCES.items()
        if choice != "no"
    ],
)
