"""hvd's own endpoints, and in static/ its page: index.html has the sections, app.js what draws each."""
