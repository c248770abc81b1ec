"""The compiled hot path, which setup.cfg has no words for; all else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "hvd.core._hotrow",
            ["hvd/core/_hotrow.c"],
            extra_compile_args=["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=True,  # without a compiler hvd counts in Python: hvd/core/hotrow.py
        )
    ]
)
