"""What hvd measures: the table of its metrics, the columns of its history, and the figures that companions publish."""
