"""PostgreSQL, and PgBouncer before it, as the jobs' database: limits without options of a session.

A pooler in transaction mode gives each transaction any session of its own. So psycopg prepares nothing by itself, and
limits on waiting are set in each transaction, in the message that begins it and has its first statement: no round trip
more.
"""

import os
import select
import socket
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Engine, create_engine, event, exc

CONNECT = 4  # s, of each of the server's addresses
STATEMENT = 4000  # ms that the server may take for a statement, waiting for locks included
_BEGIN = (
    f"BEGIN; SET LOCAL statement_timeout = {STATEMENT}; SET LOCAL lock_timeout = {STATEMENT}; "
    # the oldest of a status, the newest of all: an index has them in order, but a table without statistics is taken for
    # a short one, and all that wait would be sorted for each claim; what must be sorted all the same seems worth a JIT
    "SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off; SET LOCAL jit = off; "
)


class Cursor(psycopg.ClientCursor[Any]):
    """Begins a transaction where there is none; has the rows of the one statement of a message that gives any."""

    def execute(self, query: Any, params: Any = None, **options: Any) -> "Cursor":
        """As psycopg's own."""
        if self.connection.info.transaction_status == TransactionStatus.IDLE:
            query = _BEGIN + query
        super().execute(query, params, **options)
        while self.description is None and self.nextset():
            pass
        return self


ARGUMENTS: dict[str, Any] = {
    "autocommit": True,  # `Cursor` begins
    "cursor_factory": Cursor,
    "prepare_threshold": None,
    "client_encoding": "utf-8",  # of a database in SQL_ASCII psycopg gives bytes otherwise
    "connect_timeout": CONNECT,
}


def open_engine(url: URL, connections: int) -> Engine:
    """An engine of that many connections at least."""
    engine = create_engine(
        url,
        connect_args=ARGUMENTS,
        use_native_hstore=False,
        pool_size=connections,
        max_overflow=connections,
        pool_timeout=CONNECT,
    )
    _watch(engine)
    return engine


def _watch(engine: Engine) -> None:
    """Keep, with each connection, a socket by which another thread can end it; drop those that the server has ended."""

    @event.listens_for(engine, "connect")
    def keep(connection: Any, record: Any) -> None:
        # its own descriptor: that of libpq may be closed, and be another file's, when the time is over
        record.info["socket"] = socket.socket(fileno=os.dup(connection.fileno()))

    @event.listens_for(engine, "close")
    def close(connection: Any, record: Any) -> None:
        record.info.pop("socket").close()

    @event.listens_for(engine, "checkout")
    def check(connection: Any, record: Any, proxy: Any) -> None:
        ended = select.poll()
        ended.register(record.info["socket"], select.POLLRDHUP)
        if ended.poll(0):
            raise exc.DisconnectionError
