"""How kombu keeps queues in Redis: keys and bindings, so that every Celery program and we share them.

Source: kombu 5.7, transport/redis.py (Channel.sep, priority_steps, _q_for_pri, _queue_bind).
"""

from __future__ import annotations

_SEPARATOR = "\x06\x16"
# The steps that kombu keeps apart; a message of another priority goes to the next lower step. 0 is served first.
PRIORITY_STEPS = (0, 3, 6, 9)


def list_keys(queue: str) -> tuple[str, ...]:
    """The lists of a queue, the most urgent first. Messages are pushed on the left and taken from the right."""
    return tuple(queue if step == 0 else f"{queue}{_SEPARATOR}{step}" for step in PRIORITY_STEPS)


def list_key(queue: str, priority: int) -> str:
    """The list that a message of this priority (0 the most urgent, to 9) goes to."""
    step = max(step for step in PRIORITY_STEPS if step <= min(9, max(0, priority)))
    return list_keys(queue)[PRIORITY_STEPS.index(step)]


def binding(queue: str, *, permanent: bool = False) -> tuple[str, str]:
    """Key and member that bind a queue to the direct exchange of its name, as a declaration by kombu does.

    `permanent`: the key beside it, by which kombu knows that the binding does not expire.
    """
    return f"_kombu.binding{'_permanent' if permanent else ''}.{queue}", _SEPARATOR.join((queue, "", queue))
