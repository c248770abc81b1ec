"""`here`, under the name by which apps import it: what counts a worker's requests."""

from hvd.web.here import here

__all__ = ["here"]
