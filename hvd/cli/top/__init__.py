"""`hvd top`: a daemon's numbers in the terminal, live."""
