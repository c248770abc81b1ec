"""The same small service in each framework: what tests ask of it is in `tests/support/apps/asked.py`."""
