"""The options that the master gives the admin server."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from hvd.companion.options import Options
from hvd.settings.job_kinds import Kind
from hvd.settings.table import SETTINGS, Settings
from hvd.settings.tokens import Scope, Token

LISTENER, HUB, WORKERS, EVENTS, WAKE = "listener", "hub", "workers", "events", "wake"
"""Descriptors that it inherits: the socket at which it listens, both ends of the hand-off, the end at which job events
are written, and the eventfd that wakes the job runner.
"""

THREADS = 8
"""Requests that it serves at once: clients are few, and each answer takes some milliseconds."""

CONNECTIONS = 4096
"""Connections that it has open at most: so many that thousands of slow clients keep nobody out. An idle one takes some
3 KiB of memory."""

_SPARE_DESCRIPTORS = 128  # for its own files, and those that requests open


@dataclass(frozen=True)
class AdminOptions(Options):
    """The daemon's settings, as this process is to go by; `since` is when its master started, monotonic, in s."""

    since: float
    settings: Settings

    @classmethod
    def of(cls, settings: Settings, log_level: str, address: str, since: float) -> Self:
        """Those of a daemon with these settings, whose log has this level and whose admin server listens there.

        `bind` in them is the admin address: access.py decides by it who may change things here.
        """
        own: dict[str, Any] = {"bind": address, "admin_bind": address, "worker_class": "gthread", "threads": THREADS}
        return cls(log_level, since, replace(settings, **own))

    @property
    def descriptors(self) -> int:
        return CONNECTIONS + _SPARE_DESCRIPTORS

    def to_json(self) -> str:
        values = {name: getattr(self.settings, name) for name in SETTINGS}
        kinds = {name: kind.to_dict() for name, kind in self.settings.job_kinds.items()}
        known = self.settings.tokens
        tokens = known and [[token.name, token.scope, token.digest, token.made] for token in known]
        fields = {
            "log_level": self.log_level,
            "since": self.since,
            "settings": values,
            "kinds": kinds,
            "tokens": tokens,
        }
        return json.dumps(fields, default=str)  # a path is a text there

    @classmethod
    def from_json(cls, text: str) -> Self:
        fields = json.loads(text)
        values, kinds = fields["settings"], fields["kinds"]
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        values |= {name: Path(values[name]) for name in ("state_dir", "tokens_file")}
        if (tokens := fields["tokens"]) is not None:
            values["tokens"] = tuple(Token(name, Scope(scope), *more) for name, scope, *more in tokens)
        values["job_kinds"] = {name: Kind.from_dict(kind) for name, kind in kinds.items()}
        return cls(fields["log_level"], fields["since"], Settings(**values))
