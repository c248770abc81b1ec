"""The compiled hot path, which setup.cfg has no words for; all else is there."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            name,
            [f"{name.replace('.', '/')}.c"],
            extra_compile_args=["-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"],
            optional=True,  # without a compiler hvd counts in Python: hvd/core/hotrow.py, hvd/web/counting.py
        )
        for name in ("hvd.core._hotrow", "hvd.web._counting")
    ]
)
