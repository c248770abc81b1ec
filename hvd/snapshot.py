"""The JSON of a snapshot, where earlier versions had it."""

from hvd.read.snapshot import JOB_COUNTS, build_snapshot

__all__ = ["JOB_COUNTS", "build_snapshot"]
