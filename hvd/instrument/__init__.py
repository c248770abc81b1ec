"""Counting the requests of an app, each once, whatever wraps it."""
