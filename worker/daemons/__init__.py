"""Daemons: what runs for long, and the wiring that builds it."""
