"""Who may ask for what, on real daemons: every endpoint and message, asked by every caller: one table, each cell tried.

The rows are those of hvd/web/endpoints.py, so that a new endpoint is in the table without a line here.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

from hvd.jobs.ids import new_id
from hvd.settings.tokens import Scope, Token, digest_of
from hvd.settings.tokens_file import add_token, remove_token
from hvd.web.access import BEARER_SUBPROTOCOL
from hvd.web.endpoints import endpoints_of
from hvd.web.gate import scopes_of
from hvd.web.here import Here
from tests.support.http import Address, Connection, Response
from tests.support.jobs import JobsDaemon
from tests.support.server import Server
from tests.support.waiting import until
from tests.support.ws import PROPER, RawWebSocket

KINDS = {"nothing": {"command": ["true"]}}
BODIES = {
    "/jobs/submit": {"kind": "nothing", "params": {}},
    "/jobs/query": {"ids": [new_id()]},
    "/jobs/cancel": {"ids": [new_id()]},
}
QUERIES = {"/api/v1/pins": "key=none"}
SECRETS = {scope: f"{scope.word}-token-0123456789" for scope in Scope if scope}
REVOKED, WRONG = "revoked-token-0123456789", "wrong-token-0123456789"


class Row(NamedTuple):
    """A method of an endpoint, and what the table says of it."""

    path: str
    method: str
    needed: Scope
    is_private: bool


@dataclass(frozen=True)
class Caller:
    """Who asks: its headers and query, the scope that its token has, and what else is wrong with it."""

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    scope: Scope = Scope.NOTHING
    query: str = ""
    is_foreign: bool = False
    """A page of another site."""
    is_led_here: bool = False
    """A page of another name, which a name server has led to this machine."""


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


ADMIN = bearing(SECRETS[Scope.ADMIN])
CALLERS = (
    Caller("no token"),
    Caller("a wrong token", bearing(WRONG)),
    Caller("a revoked token", bearing(REVOKED)),
    *(Caller(f"scope {scope.word}", bearing(token), scope) for scope, token in SECRETS.items()),
    Caller("another scheme", {"Authorization": f"Basic {SECRETS[Scope.ADMIN]}"}),
    Caller("a token in the query", query=f"token={SECRETS[Scope.ADMIN]}"),
    Caller("a foreign Origin", {**ADMIN, "Origin": "https://evil.example"}, Scope.ADMIN, is_foreign=True),
    Caller(
        "a foreign Host",
        {**ADMIN, "Host": "evil.example", "Origin": "http://evil.example"},
        Scope.ADMIN,
        is_led_here=True,
    ),
)


CANCEL = Row("/jobs/cancel", "POST", Scope.JOBS, is_private=True)
STATUS = Row("/status", "GET", Scope.READ, is_private=False)


def rows(*, admin: bool) -> Iterator[Row]:
    for endpoint in endpoints_of(admin=admin):
        is_private = endpoint.is_private or endpoint.needs_kinds
        for method, scope in scopes_of(endpoint, endpoint.resource(Here())).items():
            yield Row(endpoint.path, method, scope, is_private or scope > Scope.READ)


def expected(row: Row, caller: Caller, *, asks: bool, reads_open: bool) -> int | None:
    """The status by which the gate refuses; None where it lets in. Written without a look at how it decides."""
    if caller.query:
        return 400
    tells = row.is_private or row.needed > Scope.NOTHING
    if (caller.is_foreign and (row.is_private or row.path == "/ws")) or (caller.is_led_here and tells):
        return 403
    is_open = row.needed == Scope.NOTHING or (row.needed == Scope.READ and reads_open)
    if is_open or not asks or caller.scope >= row.needed:
        return None
    return 403 if caller.scope else 401


def ask(address: Address, row: Row, caller: Caller) -> Response:
    """Ask as this caller for this row -> the answer; of the WebSocket its head."""
    path = row.path.replace("{job_id}", new_id()).replace("{name}", "none.js")
    query = caller.query or QUERIES.get(row.path, "")
    path = f"{path}?{query}" if query else path
    if row.path == "/ws":
        with RawWebSocket(address, path, **{**PROPER, "Host": "127.0.0.1:80", **caller.headers}) as client:
            lines = dict(line.split(": ", 1) for line in client.head.split("\r\n")[1:])
            return Response(client.status, {name.lower(): value for name, value in lines.items()}, b"")
    body = json.dumps(BODIES.get(row.path, {})).encode() if row.method == "POST" else b""
    with Connection(address) as connection:
        json_type = {"Content-Type": "application/json"} if body else {}
        return connection.request(row.method, path, {"Host": "127.0.0.1:80", **json_type, **caller.headers}, body)


def try_all(addresses: dict[str, Address], *, asks: bool, reads_open: bool) -> int:
    """Each cell of the table -> how many jobs were submitted. All that is wrong is told at once."""
    wrong, submitted = [], 0
    for name, address in addresses.items():
        for row in rows(admin=name == "admin"):
            for caller in CALLERS:
                answer, status = ask(address, row, caller), expected(row, caller, asks=asks, reads_open=reads_open)
                cell = f"{name} {row.method} {row.path} with {caller.name}: {answer.status}, not {status or 'let in'}"
                is_right = answer.status == status if status else answer.status not in (400, 401, 403, 405, 500)
                if not is_right or not _tells_what_is_needed(answer):
                    wrong.append(cell)
                submitted += answer.status == 202
    assert not wrong, "\n".join(wrong)
    return submitted


def _tells_what_is_needed(answer: Response) -> bool:
    """By RFC 6750, section 3; and no answer repeats a token."""
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status == 401 and not challenge.startswith('Bearer realm="hvd"'):
        return False
    return not any(token.encode() in answer.body for token in (*SECRETS.values(), REVOKED, WRONG))


def test_each_cell_of_the_table(tmp_path: Path) -> None:
    """Without a token; with tokens and open reads; with closed ones: each goes over at a reload. What is let in is
    done, what is refused is not.
    """
    config = tmp_path / "hvd.toml"
    tokens = tmp_path / "state" / "tokens"
    with JobsDaemon(tmp_path, KINDS, workers=1, admin_bind="127.0.0.1:0") as server:
        addresses = {"service": server.address, "admin": server.admin_address}
        done = try_all(addresses, asks=False, reads_open=True)
        for scope, secret in SECRETS.items():
            add_token(tokens, Token(scope.word, scope, digest_of(secret)))
        add_token(tokens, Token("revoked", Scope.ADMIN, digest_of(REVOKED)))
        reload(server, CANCEL, CALLERS[0], 401)
        with watching(server.address, REVOKED) as old, watching(server.address, SECRETS[Scope.READ]):
            remove_token(tokens, "revoked")
            config.write_text(f'reads = "token"\n{config.read_text()}')
            reload(server, STATUS, CALLERS[2], 401)
            with pytest.raises(ConnectionError, match="closed"):  # it was connected before
                old.message("nothing has this type")
        done += try_all(addresses, asks=True, reads_open=False)
        assert server.get("/health").json().keys() == {"status", "timestamp"}
        assert "workers_alive" in server.get("/health", **bearing(SECRETS[Scope.READ])).json()
        for host, tells in (("evil.example", False), ("localhost", True)):  # paths of requests are in it
            named = bearing(SECRETS[Scope.READ]) | {"Host": host}
            assert ("longest_requests" in server.get("/health", **named).json()) is tells
        config.write_text(config.read_text().replace('"token"', '"open"', 1))
        reload(server, STATUS, CALLERS[0], 200)
        done += try_all(addresses, asks=True, reads_open=True)
        assert len(server.rows("SELECT id FROM hvd_jobs")) == done
        assert not [secret for secret in (*SECRETS.values(), REVOKED, WRONG) if secret in server.log]
        assert not server.alarms


def watching(address: Address, token: str) -> RawWebSocket:
    """A WebSocket as a browser opens it."""
    client = RawWebSocket(address, Sec_WebSocket_Protocol=f"hvd, {BEARER_SUBPROTOCOL}{token}")
    assert client.status == 101, client.head
    assert "\r\nSec-WebSocket-Protocol: hvd\r\n" in f"{client.head}\r\n"
    return client


def reload(server: Server, row: Row, caller: Caller, status: int) -> None:
    """SIGHUP, until both servers answer this so."""
    server.reload()

    def is_taken_in() -> bool:
        with contextlib.suppress(OSError):
            return {ask(address, row, caller).status for address in (server.address, server.admin_address)} == {status}
        return False

    until(is_taken_in, f"both answer {status}; log:\n{server.log}")
