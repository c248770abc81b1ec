"""The front for prometheus_client: its metrics, and those of libraries on top, count in hvd, exact over processes.

import hvd.prometheus; hvd.prometheus.install()

`hvd run` and `hvd.gunicorn.install` do it themselves; another process that joins a daemon calls it first of all.
"""

import logging

from hvd.metrics.prometheus import front


def install(*, all_registries: bool = False, default_gauge_mode: str = "all") -> None:
    """Have the metrics that are made from now on count in hvd; without a daemon they count in this process.

    Metrics of the default registry are shown on hvd's /metrics; with `all_registries` those of any, and of none.
    `default_gauge_mode` is how gauges combine whose multiprocess_mode is all, or isn't said: with all each process has
    a series of its own, with label pid; with sum, max, min, or these after live, there is one.

    Where PROMETHEUS_MULTIPROC_DIR is set, the log says that hvd counts all the same. Thread-safe; may be called again.
    """
    import prometheus_client  # noqa: F401  # the error, where it is missing, is clear

    if warning := front.install(all_registries=all_registries, default_gauge_mode=default_gauge_mode):
        logging.getLogger("hvd").warning(warning)
