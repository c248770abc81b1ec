"""Totals and history between two lives of a daemon: written to a file when it stops, read when it starts again."""
