"""The job runner: the companion that runs queued jobs as subprocesses."""
