"""What is wrong with the settings, in words for their author."""

import re
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from hvd.errors import SettingsError
from hvd.settings.otlp import is_installed
from hvd.settings.table import JOBS_TABLE, KINDS, ROUTES, SETTINGS, SLOTS_SPARE, written
from hvd.settings.variables import CONFIG, KEYS, PREFIX
from hvd.texts import quoted, suggestion, toml_key


def complaint(error: SettingsError) -> str:
    """The problems under one heading line."""
    count = len(error.problems) + error.unlisted
    heading = f"hvd: {count} problem{'s' if count > 1 else ''} in the settings:"
    more = [f"and {error.unlisted} more"] if error.unlisted else []
    return "\n  ".join([heading, *error.problems, *more])


def contradictions(values: Mapping[str, Any], places: Mapping[str, str], refused: Collection[str]) -> Iterator[str]:
    """What is wrong with values that are right each by itself.

    `places` says where each value that is no default was written. Of the keys in `refused` there are complaints
    already, and so none here.
    """

    def is_set(key: str) -> bool:
        return key in places and key not in refused

    def of(key: str) -> str:
        return f"{key} ({places[key]}) is {quoted(values[key])}"

    if is_set("threads") and is_set("worker_class") and values["worker_class"] == "sync" and values["threads"] > 1:
        yield f"{of('threads')}: worker_class sync serves one request at a time; set 1, or gthread"
    least = values["workers"] + SLOTS_SPARE
    if is_set("slots") and "workers" not in refused and values["slots"] < least:
        yield f"{of('slots')}: {values['workers']} workers need at least {least}; leave it unset for more"
    if "instance" not in places and "instance" not in refused:
        if is_set("bind") and re.fullmatch("(?!unix:).*:0", values["bind"]):
            yield f"{of('bind')}: port 0 is another port at each start; set instance, which names the block"
        if values["bind"].startswith("fd://"):
            yield f"{of('bind')}: every daemon may have such a descriptor; set instance, which names the block"
    if is_set("admin_bind") and values["admin_bind"] == values["bind"] and not values["bind"].endswith(":0"):
        yield f"{of('admin_bind')}, as is bind: the admin server needs an address of its own"
    has_jitter = is_set("max_requests_jitter") and values["max_requests_jitter"] > 0
    if has_jitter and values["max_requests"] == 0 and "max_requests" not in refused:
        yield f"{of('max_requests_jitter')}: it has no effect while max_requests is 0; set both, or neither"


def lacking(values: Mapping[str, Any], places: Mapping[str, str], refused: AbstractSet[str]) -> Iterator[str]:
    """What needs a library that isn't installed; a variable of OpenTelemetry's may be meant for other programs."""
    place = places.get("otlp_endpoint", "")
    if not place or place.startswith("OTEL_") or refused & {"otlp_endpoint", "otlp_protocol"}:
        return
    if not is_installed(values["otlp_protocol"]):
        endpoint = quoted(values["otlp_endpoint"])
        yield f"otlp.endpoint ({place}) is {endpoint}: what sends to it isn't installed; pip install 'hvd[otlp]'"


def likely_variable(name: str) -> str:
    """What may have been meant by a variable that hvd doesn't have: as `suggestion`."""

    def without_prefix(name: str) -> str:  # with it, every variable would be like every other
        return name.removeprefix(PREFIX)

    return suggestion(name, [*KEYS, CONFIG], without_prefix)


def likely_key(steps: tuple[str, ...], value: Any) -> str:
    """What may have been meant by the key at these steps, which is no setting and has this value: as `suggestion`."""
    *above, key = steps
    if above and key in SETTINGS and written(key) == key:
        return f"; did you mean {key}, above the first [table]?"
    names = [*map(written, SETTINGS), f"{JOBS_TABLE}.{KINDS}"]
    if not above:
        return suggestion(key, [*names, ROUTES])
    if isinstance(value, dict) and above == [JOBS_TABLE]:
        return suggestion(toml_key(steps), names[-1:], _in_table) or f"; did you mean {toml_key((*above, KINDS, key))}?"
    return suggestion(toml_key(steps), [name for name in names if "." in name], _in_table)


def _in_table(name: str) -> str:
    return name.partition(".")[2]
