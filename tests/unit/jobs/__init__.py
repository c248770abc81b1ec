"""Unit tests of hvd.jobs."""
