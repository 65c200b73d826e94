"""What can go wrong between the worker and the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from engine.errors import PenstockError

# What ends by itself or by an operator's hand. A full store counts: what was refused may be recorded later.
_PASSING = (BusyLoadingError, ConnectionError, TimeoutError, OutOfMemoryError, ReadOnlyError, TryAgainError)


class StoreError(PenstockError):
    """The store refused, or holds what cannot be: our fault or the operator's, and no use in trying again."""


class StoreUnavailable(StoreError, OSError):
    """The store cannot be reached, is loading, is full, or did not answer in time. Trying again may help."""


class UnknownTask(StoreError):
    """No task with that id is recorded."""


class InvalidName(StoreError, ValueError):
    """An id, a name or a cursor that may not become part of a key."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the client's errors into ours, so that no caller has to know the client."""
    try:
        yield
    except AuthenticationError as error:
        raise StoreError(f"the store does not let us in: {error}") from error
    except _PASSING as error:
        raise StoreUnavailable(f"the store is not available: {error}") from error
    except RedisError as error:
        # Servers before 7.0 wrap what a command inside a script said.
        if "-OOM " in str(error):
            raise StoreUnavailable(f"the store is full: {error}") from error
        raise StoreError(f"the store refused: {error}") from error
    except OSError as error:
        raise StoreUnavailable(f"the store is not available: {error}") from error
