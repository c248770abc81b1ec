"""Metrics under the names of other exporters, from hvd's own record: a file for each exporter."""
