"""hvd: exact live metrics of a multi-process Python service, and the daemon that serves them."""

__version__ = "0.1.0"
