"""Workflows: several scripts as one graph of steps, checked as a whole when it is saved, and driven by the records."""
