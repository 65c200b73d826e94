"""The HTTP API: checks, records, publishes, reads. It never runs a command."""
