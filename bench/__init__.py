"""Bench: Penstock beside a bare loop and beside plain Celery, in one run. How to read it: bench/README.md."""
