"""The exporter: the companion that sends figures by OTLP, where an endpoint is set. Needs hvd[otlp]."""
