"""A small shop with load, errors, slow routes and jobs, for looking at hvd in a minute: `hvd demo`."""
