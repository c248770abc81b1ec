"""The command `hvd`: settings, a running daemon's figures, and its jobs."""
