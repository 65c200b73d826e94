"""Queues, records and the command line around the engine."""
