"""ctypes, once the standard descriptors are taken: libffi from 3.4.7 on, which it brings, opens a file and keeps it."""

from hvd.core.descriptors import fill_standard

fill_standard()

import ctypes as ctypes  # noqa: E402
