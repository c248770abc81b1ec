"""What setup.cfg has no words for: the compiled hot path, and deploy/, which a wheel has as hvd/deploy_files.

HVD_BUILD_EXTENSION says whether the hot path is built: `yes`, or the installation fails; `no`; unset: where it can be.
HVD_PROJECT_URL is where the sources are browsed, for who publishes a release: the README's links lead there then.
"""

import os
import re
import sys
from glob import glob
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

# Unaligned, the hot functions would cost 3 to 5 % more or less with every line that is written before them.
FLAGS = ["-falign-functions=32", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
SOURCES = {
    "hvd.core._hotrow": ["hvd/core/_hotrow.c", "hvd/core/_hotentry.c", "hvd/core/_sums.c"],
    "hvd.core.own._own": sorted(glob("hvd/core/own/*.c")),
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


def readme(url):
    """The README for an index, which has none of the files that its links and its picture are: with the address of
    the sources the links are whole; without one their words stay.
    """
    text = Path("README.md").read_text(encoding="utf-8")
    if url:
        text = re.sub(r"!\[([^]]*)\]\((?![a-z]+:|#)", rf"![\1]({url}/raw/HEAD/", text)
        return re.sub(r"(?<!!)\[([^]]*)\]\((?![a-z]+:|#)", rf"[\1]({url}/blob/HEAD/", text)
    text = re.sub(r"!\[([^]]*)\]\((?![a-z]+:)[^)]*\)\n*", "", text)
    return re.sub(r"(?<!!)\[([^]]*)\]\((?![a-z]+:)[^)]*\)", r"\1", text)


def project_urls(url):
    if not url:
        return {}
    pages = {"Documentation": "docs/index.md", "Changelog": "CHANGELOG.md", "Security": "SECURITY.md"}
    return {"Source": url, **{name: f"{url}/blob/HEAD/{page}" for name, page in pages.items()}}


source = os.environ.get("HVD_PROJECT_URL", "").rstrip("/")
choice = os.environ.get("HVD_BUILD_EXTENSION", "").strip()
if choice not in ("", "yes", "no"):
    sys.exit(f"HVD_BUILD_EXTENSION is {choice!r}: it must be yes (or the installation fails), no, or unset")
setup(
    long_description=readme(source),
    long_description_content_type="text/markdown",
    project_urls=project_urls(source),
    data_files=[("share/man/man1", glob("hvd.1"))],  # which `make dist` makes of the parser
    cmdclass={"build_py": BuildWithDeployFiles},
    ext_modules=[
        Extension(
            name,
            sources,
            depends=glob("hvd/**/*.h", recursive=True),
            extra_compile_args=FLAGS,
            optional=choice != "yes",  # hvd counts in Python then: hvd/core/hotrow.py, hvd/instrument/wsgi.py
        )
        for name, sources in SOURCES.items()
        if choice != "no"
    ],
)
