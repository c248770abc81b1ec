"""Where this process counts the requests of the app that it serves, whatever app and server that are."""

from hvd.core.rows import Rows, ThreadRow


class Counting:
    """The process's rows, and `local`, whose `row` is the caller's. Plain attributes, as each request reads them.

    Filled by whoever gave the process its slot: gunicorn's hooks in a worker, `hvd.join` elsewhere.
    """

    rows: Rows
    local: ThreadRow

    def fill(self, rows: Rows) -> None:
        """Count in these rows from now on."""
        self.rows = rows
        self.local = rows.local


counting = Counting()
