"""The gunicorn settings of the daemon: `gunicorn -c python:hvd.gunicorn_conf`, or imported by a gunicorn.conf.py.

Values only: hvd's hooks are put around those that gunicorn has in the end (hooks.py), so hooks of one's own may
stand before or after `from hvd.gunicorn_conf import *`.
"""

from typing import Any

from hvd.core.descriptors import fill_standard
from hvd.daemon import conf, hooks
from hvd.settings.loader import load_or_exit

fill_standard()  # before gunicorn opens its logs and sockets
conf.fill(globals(), load_or_exit())
hooks.take_hold()


def __getattr__(name: str) -> Any:
    """hvd's part of a hook, for a gunicorn.conf.py that calls it by name; `import *` doesn't see it."""
    if name not in hooks.HOOKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(hooks, name)
