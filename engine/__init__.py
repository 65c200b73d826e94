"""One script, one payload, one process. Knows no queue, no HTTP and no Redis."""
