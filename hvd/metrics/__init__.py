"""What hvd measures: the table of its metrics, and the columns of its history."""
