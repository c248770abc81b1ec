"""Figures as OpenTelemetry's data model has them, for its own exporters. Needs hvd[otlp]."""
