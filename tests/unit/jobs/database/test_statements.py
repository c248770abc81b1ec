"""The statements as the databases get them."""

from sqlalchemy.dialects import postgresql

from hvd.jobs.database import statements


def postgresqls(statement: object) -> str:
    """Its text for PostgreSQL."""
    return " ".join(str(statement.compile(dialect=postgresql.dialect())).split())  # type: ignore[attr-defined]


def test_a_claim_looks_for_jobs_once() -> None:
    """In a subquery PostgreSQL may evaluate it again, for a limit of others; and it waits for no other runner's."""
    text = postgresqls(statements.CLAIM)
    assert text.startswith("WITH due AS (SELECT hvd_jobs.id AS id")
    assert text.count("FOR UPDATE SKIP LOCKED") == 1
    assert "WHERE hvd_jobs.id IN (SELECT due.id FROM due)" in text


def test_a_lease_is_held_while_jobs_are_claimed() -> None:
    """With the time, in one question; a lease that is given up waits for it."""
    text = postgresqls(statements.LEASE)
    assert "clock_timestamp()" in text
    assert text.endswith("FOR SHARE")
