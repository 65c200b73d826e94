"""Schedules: when a task is due, and the task that follows from it. The clock is an argument everywhere."""
