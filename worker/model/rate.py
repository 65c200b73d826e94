"""Rate: how often each caller may ask. In this process's memory only."""

from __future__ import annotations

import math
from collections import OrderedDict

# Beyond so many callers the one that was heard of longest ago begins anew.
_CALLERS = 10_000


class RateLimit:
    """A token bucket for each caller: `count` requests in `per_s` seconds, and as many at once after a pause."""

    def __init__(self, count: int, per_s: float) -> None:
        self._count = count
        self._per_second = count / per_s
        self._callers: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, caller: str, now_s: float) -> int:
        """0: go on, and one token is taken. Else the whole seconds after which to try again."""
        tokens, at_s = self._callers.get(caller, (float(self._count), now_s))
        tokens = min(float(self._count), tokens + max(0.0, now_s - at_s) * self._per_second)
        wait_s = 0 if tokens >= 1 else max(1, math.ceil((1 - tokens) / self._per_second))
        self._callers[caller] = (tokens - 1 if not wait_s else tokens, now_s)
        self._callers.move_to_end(caller)
        if len(self._callers) > _CALLERS:
            self._callers.popitem(last=False)
        return wait_s
