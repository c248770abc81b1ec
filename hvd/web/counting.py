"""`counted`, where apps import it from."""

from hvd.instrument.wsgi import counted

__all__ = ["counted"]
