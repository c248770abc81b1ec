"""Connections: transactions, and databases that are away."""

import pytest
from sqlalchemy import insert, text

from hvd.errors import StoreUnavailable
from hvd.jobs.database import schema
from hvd.jobs.database.connection import Database
from tests.support.postgres import Postgres
from tests.unit.jobs.support import versions


def test_what_fails_in_a_transaction_leaves_nothing(database: Database) -> None:
    """All of it, or none of it."""
    versions(database)

    def half() -> None:
        with database.writing() as connection:
            connection.execute(insert(schema.schema_version).values(version=7))
            raise KeyError

    with pytest.raises(KeyError):
        half()
    assert versions(database) == [schema.VERSION]


def test_a_server_that_is_away_is_unavailable_and_comes_back() -> None:
    """Without its password in the message; the connections of before are not used again."""
    with Postgres() as server:
        url = server.database()
        database = Database(url.replace("hvd@", "hvd:secret@"))
        assert versions(database) == [schema.VERSION]
        server.stop()
        for _ in range(2):
            with pytest.raises(StoreUnavailable) as caught:
                versions(database)
            assert "secret" not in str(caught.value)
        server.start()
        assert versions(database) == [schema.VERSION]
        database.close()


def test_a_table_that_is_missing_is_unavailable(database: Database) -> None:
    """Somebody dropped it, or took the rights away: no fault of the request."""
    versions(database)
    with database.writing() as connection:
        connection.execute(text("DROP TABLE hvd_schema"))
    with pytest.raises(StoreUnavailable, match="hvd_schema"):
        versions(database)
