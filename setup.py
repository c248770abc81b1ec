"""The compiled hot path, which setup.cfg has no words for; all else is there.

HVD_BUILD_EXTENSION says whether it is built: `yes`, or the installation fails; `no`; unset: where it can be.
"""

import os
import sys
from glob import glob

from setuptools import Extension, setup

# Unaligned, the hot functions would cost 3 to 5 % more or less with every line that is written before them.
FLAGS = ["-falign-functions=32", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"]
SOURCES = {
    "hvd.core._hotrow": ["hvd/core/_hotrow.c", "hvd/core/_hotentry.c", "hvd/core/_sums.c"],
    "hvd.instrument._counting": [f"hvd/instrument/{name}.c" for name in ("_counting", "_exchange", "_extras", "_asgi")],
}

choice = os.environ.get("HVD_BUILD_EXTENSION", "").strip()
if choice not in ("", "yes", "no"):
    sys.exit(f"HVD_BUILD_EXTENSION is {choice!r}: it must be yes (or the installation fails), no, or unset")
setup(
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
    ]
)
