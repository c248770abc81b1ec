"""hvd under a gunicorn.conf.py of one's own, whose last line installs it:

import hvd.gunicorn; hvd.gunicorn.install(globals())

The hooks of that file are called beside hvd's: after it at a beginning (on_starting, post_fork, post_request …), so
that they find hvd ready, and before it at an end (worker_exit, on_exit …), so that the block is still there.
"""

from collections.abc import MutableMapping
from typing import Any

from hvd.core.descriptors import fill_standard
from hvd.daemon import conf, hooks


def install(namespace: MutableMapping[str, Any]) -> None:
    """Put hvd under the gunicorn that reads this configuration: its hooks and settings stay, hvd goes around them.

    `namespace` is the configuration's `globals()`, in which nothing is set. It may be called again, as a reload does,
    and anywhere in the file. What can't be had ends the start with one line and exit status 1 or 2.
    """
    fill_standard()
    conf.be_guest()
    hooks.take_hold()
