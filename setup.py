"""The compiled hot path, which setup.cfg has no words for; all else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            name,
            sources,
            depends=["hvd/instrument/_exchange.h"],
            extra_compile_args=["-O2", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=True,  # without a compiler hvd counts in Python: hvd/core/hotrow.py, hvd/instrument/wsgi.py
        )
        for name, sources in {
            "hvd.core._hotrow": ["hvd/core/_hotrow.c"],
            "hvd.instrument._counting": ["hvd/instrument/_counting.c", "hvd/instrument/_exchange.c"],
        }.items()
    ]
)
