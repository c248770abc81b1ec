"""Clients of a worker: what they have sent, what they have read, and for how long they are waited for."""
