"""What hvd counts: the table of its own metrics."""
