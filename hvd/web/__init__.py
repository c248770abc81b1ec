"""hvd's own endpoints and its page."""
