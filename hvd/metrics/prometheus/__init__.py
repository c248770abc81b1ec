"""The front for prometheus_client: what an app counts with it, counts in the block; its own code stays as it is."""
