"""`here`, where apps import it from: what the counting of a worker's requests is told of."""

from hvd.web.here import here

__all__ = ["here"]
