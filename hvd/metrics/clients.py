"""What a server waits for of its clients, in the order of the cells S_CLIENTS of its slot (hvd/core/layout.py)."""

SILENT, HALF_HEAD, HALF_BODY, UNREAD, IDLE = range(5)
"""New connections that have sent nothing; that have sent a part of a request's head; of its body; clients that don't
read their response; connections that are kept alive between two requests."""

WAITING = ("silent", "half_head", "half_body", "unread", "idle")
"""The names of these states, in that order."""

QUEUED, HELD = len(WAITING), len(WAITING) + 1
"""The cells behind them: requests that have come in, and wait for a thread of their worker; threads that wait for a
client before there is a request, as the only one of a `sync` worker does."""
