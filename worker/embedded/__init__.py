"""The embedded store: a real Valkey or Redis server on a unix socket in a private folder."""

from worker.embedded.embedded import Embedded
from worker.embedded.errors import EmbeddedError
from worker.embedded.locate import Server, locate
from worker.embedded.probe import StoreState, state

__all__ = ["Embedded", "EmbeddedError", "Server", "StoreState", "locate", "state"]
