"""The gunicorn settings of the daemon: `gunicorn -c python:hvd.gunicorn_conf`, or imported by a gunicorn.conf.py."""

from hvd import hooks
from hvd.core.descriptors import fill_standard
from hvd.settings import load_or_exit

fill_standard()  # before gunicorn opens its logs and sockets
_settings = load_or_exit()

wsgi_app = "hvd.web.wsgi:app"
bind = _settings.bind
workers = _settings.workers
threads = _settings.threads
worker_class = _settings.worker_class
timeout = _settings.timeout
graceful_timeout = _settings.graceful_timeout
keepalive = _settings.keepalive
max_requests = _settings.max_requests
max_requests_jitter = _settings.max_requests_jitter
loglevel = _settings.log_level
proc_name = f"hvd-{_settings.instance}"
control_socket_disable = True  # gunicorn 27 would open one under the user's home folder

on_starting = hooks.on_starting
on_reload = hooks.on_reload
when_ready = hooks.when_ready
pre_fork = hooks.pre_fork
post_fork = hooks.post_fork
post_worker_init = hooks.post_worker_init
post_request = hooks.post_request
child_exit = hooks.child_exit
worker_exit = hooks.worker_exit
on_exit = hooks.on_exit
