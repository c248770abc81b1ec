"""A shop in each framework, measured with prometheus_client and the libraries on top of it, and its buyers."""
