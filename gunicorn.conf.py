"""Settings of `gunicorn` started in this folder. Values only: what hvd does is in hvd/daemon/hooks.py."""

from hvd.gunicorn_conf import *  # noqa: F403
