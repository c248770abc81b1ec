"""The JSON of a snapshot, where earlier versions had it."""

from hvd.read.jobs import JOB_COUNTS
from hvd.read.snapshot import build_snapshot

__all__ = ["JOB_COUNTS", "build_snapshot"]
