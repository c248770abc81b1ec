"""Requests, and the settings by which they are judged."""

from dataclasses import replace
from typing import Any

import falcon
from falcon import testing

from hvd.settings.loader import load
from hvd.settings.table import Settings

USUAL = load({}).settings


def request(connection: object = None, query: str = "", **headers: str) -> falcon.Request:
    """A request with these headers (underscores stand for hyphens), to 127.0.0.1:8080 unless they say otherwise."""
    given = {"Host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    environ = testing.create_environ(method="POST", headers=given, query_string=query)
    if connection is not None:
        environ["gunicorn.socket"] = connection
    return falcon.Request(environ)


def settings(bind: str = "127.0.0.1:8080", token: str = "", origins: tuple[str, ...] = (), **more: Any) -> Settings:
    """The settings that decide."""
    return replace(USUAL, bind=bind, token=token, allowed_origins=origins, **more)
