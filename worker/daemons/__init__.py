"""Daemons: what runs for long, and the wiring that builds it."""

import sys

# structlog takes rich along where that is installed, for tracebacks that we do not print: 5 MB in each worker.
_loaded = sys.modules.get("rich")
sys.modules["rich"] = None  # type: ignore[assignment]
import structlog  # noqa: E402, F401

if _loaded:
    sys.modules["rich"] = _loaded
else:
    del sys.modules["rich"]
