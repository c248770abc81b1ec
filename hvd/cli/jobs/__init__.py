"""`hvd jobs`: submit, list, show, cancel and wait for the jobs of a running daemon."""
