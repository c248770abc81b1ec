"""The aggregator: adds the rows up, observes processes, publishes, and broadcasts to WebSocket clients."""
