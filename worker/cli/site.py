"""Site: where a command works, by the global options and the environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

if TYPE_CHECKING:
    from worker.cli.door import Site

_F = TypeVar("_F", bound=Callable[..., Any])


def pass_site(function: _F) -> _F:
    """The site as first argument of a command."""

    @wraps(function)
    def with_site(*args: Any, **kwargs: Any) -> Any:
        return function(_site(click.get_current_context()), *args, **kwargs)

    return cast("_F", with_site)


def _site(ctx: click.Context) -> Site:
    from worker.cli.local_door import LocalSite

    return LocalSite(ctx.find_object(Path) or Path())
