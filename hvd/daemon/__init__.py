"""hvd in gunicorn: its master, its workers, and the companions that the master keeps alive."""
