"""hvd under a gunicorn.conf.py of one's own, whose last line installs it:

import hvd.gunicorn; hvd.gunicorn.install(globals())
"""

from collections.abc import MutableMapping
from typing import Any

from hvd.core.descriptors import fill_standard
from hvd.daemon import conf, hooks


def install(namespace: MutableMapping[str, Any]) -> None:
    """Put hvd under the gunicorn that reads this configuration: its hooks and settings stay, hvd goes around them.

    `namespace` is the configuration's `globals()`.
    """
    fill_standard()
    conf.be_guest()
    hooks.take_hold()
