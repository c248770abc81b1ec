"""Tests of the app's own metrics in the block."""
