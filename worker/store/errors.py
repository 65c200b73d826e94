"""What can go wrong between the worker and the store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

from engine.errors import PenstockError

# What ends by itself or by an operator's hand. A full store counts, and one that does not let us in: what was refused
# may be recorded later, and must not be given up for that.
_PASSING = (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
    TryAgainError,
)
# The same, where the client knows no class for it. Servers before 7.0 put it behind what the script was about.
_PASSING_CODES = re.compile(
    r"(?:^|[ -])(?:OOM|NOREPLICAS|MISCONF|BUSY|CLUSTERDOWN|MASTERDOWN|LOADING|READONLY|NOAUTH|NOPERM|WRONGPASS) "
)
_ACCOUNT_CODES = re.compile(
    r"(?:^|[ -])(?:NOAUTH|NOPERM|WRONGPASS) |ACL failure in script|The user executing the script"
)


class StoreError(PenstockError):
    """The store refused, or holds what cannot be: our fault or the operator's, and no use in trying again."""


class StoreUnavailable(StoreError, OSError):
    """The store cannot be reached, is loading or full, lets us not in, or did not answer. Trying again may help."""


class UnknownTask(StoreError):
    """No task with that id is recorded."""


class InvalidName(StoreError, ValueError):
    """An id, a name or a cursor that may not become part of a key."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the client's errors into ours, so that no caller has to know the client."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise store_error(error) from error


def refuses_account(error: RedisError | OSError) -> bool:
    """Whether the server answers, but does not know the account, or does not let it do that."""
    return isinstance(error, AuthenticationError | NoPermissionError) or bool(_ACCOUNT_CODES.search(str(error)))


def store_error(error: RedisError | OSError) -> StoreError:
    """Ours for one of the client's."""
    if isinstance(error, StoreError):
        return error
    if refuses_account(error):
        return StoreUnavailable(f"the store refuses this account, which may have been revoked: {error}")
    if isinstance(error, _PASSING) or not isinstance(error, RedisError):
        return StoreUnavailable(f"the store is not available: {error}")
    if _PASSING_CODES.search(str(error)):
        return StoreUnavailable(f"the store refuses for now: {error}")
    return StoreError(f"the store refused: {error}")
