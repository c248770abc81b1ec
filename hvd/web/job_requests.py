"""Requests to the jobs: their JSON, their idempotency key, their parameters."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import falcon
from gunicorn.http.errors import ParseException

from hvd.jobs.listing import NEWEST, ORDERS, TEXT_MAX, Filter, Place, Wanted
from hvd.jobs.states import STATUSES
from hvd.jobs.strict_json import excerpt, parse
from hvd.jobs.submission import BODY_MAX, KEY_MAX, LIST_DEFAULT, LIST_MAX
from hvd.settings.job_kinds import DECLARED_NAME

_KEY = re.compile(rf"[\x20-\x7e]{{1,{KEY_MAX}}}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


def idempotency_key(req: falcon.Request) -> str | None:
    """The request's key, where it has one. Raises falcon.HTTPBadRequest for one that is none."""
    key = req.get_header("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        raise falcon.HTTPBadRequest(description=f"Idempotency-Key must be 1 to {KEY_MAX} printable ASCII characters.")
    return key


def json_body(req: falcon.Request) -> Any:
    """The request's JSON. Raises falcon.HTTPError for anything else."""
    media_type, *parameters = [part.strip().lower() for part in (req.content_type or "").split(";")]
    if media_type != falcon.MEDIA_JSON or (req.get_header("Content-Encoding") or "identity").lower() != "identity":
        raise falcon.HTTPUnsupportedMediaType(description="Send the body as application/json, without compression.")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "charset" and value.strip('"') not in ("utf-8", "utf8", "us-ascii"):
            raise falcon.HTTPBadRequest(description="The body must be in UTF-8, as all JSON (RFC 8259, section 8.1).")
    try:
        return parse(_bytes(req))
    except ValueError as error:
        raise falcon.HTTPBadRequest(description=str(error)) from None


def _bytes(req: falcon.Request) -> bytes:
    """The body, of bounded length: as announced, or, where it is chunked, as it comes."""
    length = req.content_length
    too_large = falcon.HTTPContentTooLarge(description=f"The body is larger than {BODY_MAX} bytes.")
    if length is not None and length > BODY_MAX:
        raise too_large
    try:
        if length is None and req.env.get("wsgi.input_terminated"):
            data: bytes = req.stream.read(BODY_MAX + 1)
        else:
            data = req.bounded_stream.read()
    except (OSError, ParseException):  # gunicorn's, for chunks that are none and for a client that has gone
        raise falcon.HTTPBadRequest(description="The body breaks off, or its chunks can't be read.") from None
    if len(data) > BODY_MAX:
        raise too_large
    if length is not None and len(data) < length:
        raise falcon.HTTPBadRequest(description="The body breaks off.")
    return data


def listing(req: falcon.Request) -> Wanted:
    """The page that the request's parameters ask for. Raises falcon.HTTPBadRequest naming one that is wrong."""
    query = _query(req.query_string, ("status", "kind", "search", "order", "limit", "before"))
    order = _order(query)
    jobs = Filter(_statuses(query), _kinds(query), _search(query))
    return Wanted(jobs, _limit(query, LIST_DEFAULT), _before(query, order), order)


def query_body(req: falcon.Request) -> dict[str, Any]:
    """What the parameters of GET /jobs/query say, as the body of POST. Raises falcon.HTTPBadRequest."""
    query = _query(req.query_string, ("all", "status", "limit"))
    flags = query.get("all", ["true"])
    if len(flags) > 1 or flags[0] not in _FLAGS:
        raise _bad("all", "must be true or false")
    body: dict[str, Any] = {"all": _FLAGS[flags[0]], "limit": _limit(query, LIST_MAX)}
    return body | ({"status": list(dict.fromkeys(_statuses(query)))} if "status" in query else {})


def _query(text: str, known: Sequence[str]) -> dict[str, list[str]]:
    """The parameters, each with its values: what commas and what repetition separates is the same."""
    try:
        query = parse_qs(text, keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:  # UnicodeDecodeError too
        raise _bad("The query", "can't be read") from None
    for name in query:
        if name not in known:
            raise _bad(f"Parameter {excerpt(name)}", f"is unknown; there are: {', '.join(known)}")
    return {
        name: values if name == "search" else [part for value in values for part in value.split(",")]
        for name, values in query.items()
    }


def _statuses(query: Mapping[str, list[str]]) -> list[str]:
    for status in query.get("status", []):
        if status not in STATUSES:
            raise _bad("status", f"{excerpt(status)} is none; there are: {', '.join(STATUSES)}")
    return query.get("status", [])


def _kinds(query: Mapping[str, list[str]]) -> list[str]:
    for kind in query.get("kind", []):
        if not DECLARED_NAME.fullmatch(kind):
            raise _bad("kind", f"{excerpt(kind)} can't be the name of a kind")
    return query.get("kind", [])


def _limit(query: Mapping[str, list[str]], usual: int) -> int:
    values = query.get("limit", [str(usual)])
    if len(values) > 1 or not _LIMIT.fullmatch(values[0]) or int(values[0]) > LIST_MAX:
        raise _bad("limit", f"must be one whole number from 1 to {LIST_MAX}")
    return int(values[0])


def _search(query: Mapping[str, list[str]]) -> str:
    values = query.get("search", [""])
    if len(values) > 1 or len(values[0]) > TEXT_MAX or not values[0].isprintable():
        raise _bad("search", f"must be one text of at most {TEXT_MAX} printable characters")
    return values[0]


def _order(query: Mapping[str, list[str]]) -> str:
    values = query.get("order", [NEWEST])
    if len(values) > 1 or values[0] not in ORDERS:
        raise _bad("order", f"must be one of {', '.join(ORDERS)}")
    return values[0]


def _before(query: Mapping[str, list[str]], order: str) -> Place | None:
    if "before" not in query:
        return None
    values = query["before"]
    place = Place.parse(values[0], order) if len(values) == 1 else None
    if place is None:
        raise _bad("before", "must be what the page before has as `next`: in the order newest, the id of a job")
    return place


def _bad(name: str, detail: str) -> falcon.HTTPBadRequest:
    return falcon.HTTPBadRequest(description=f"{name}: {detail}.")
