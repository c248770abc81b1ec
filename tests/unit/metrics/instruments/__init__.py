"""Tests of hvd/metrics/instruments."""
