"""Fields of a daemon's answer, which may be missing or of another type. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]


def mapping(value: object) -> Json:
    """That object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def objects(value: object) -> tuple[Json, ...]:
    """What is an object, of a list; nothing of anything else."""
    return tuple(item for item in value if isinstance(item, Mapping)) if isinstance(value, list | tuple) else ()


def texts(value: object) -> tuple[str, ...]:
    """What is a text, of a list; nothing of anything else."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list | tuple) else ()


def instant(text: object) -> datetime | None:
    """The time that a text in RFC 3339 names, in UTC; None of anything else."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
