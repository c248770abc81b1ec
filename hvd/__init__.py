"""hvd: exact live metrics of a multi-process Python service, and the daemon that serves them."""

from typing import Any

__version__ = "0.2.0"


def join(instance: str = "") -> None:
    """Have this process, which is no worker of the daemon's, count in the daemon's block: a task worker, a script,
    another server's worker. `instance` names the daemon, where this user has several.

    Without a daemon the process counts by itself, and joins within a second or so once there is one; what it had
    counted comes with it. A child that it forks joins by itself. In a worker of a daemon nothing happens.

    Raises DaemonsAmbiguous where several daemons run and nothing says which of them, JoinRefused where the daemon is
    another user's, SettingsError where HVD_CONFIG or a variable can't be used. Thread-safe; the first call decides.
    """
    from hvd.instrument.joining import join_daemon

    join_daemon(instance)


def count(app: Any) -> Any:
    """`app`, a WSGI or an ASGI app, with its requests counted by this process: for one that is served by no worker of
    a daemon's, see `join`. An app that is counted already stays as it is.
    """
    from hvd.instrument.apply import count_app

    return count_app(app)
