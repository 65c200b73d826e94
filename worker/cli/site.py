"""Site: where a command works, by the global options, the environment and the profile."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from worker.cli.door import Site
    from worker.cli.server import Server

_F = TypeVar("_F", bound=Callable[..., Any])
_KEY_FILE_BYTES = 64 * 1024


def pass_site(function: _F) -> _F:
    """The site as first argument of a command."""

    @wraps(function)
    def with_site(*args: Any, **kwargs: Any) -> Any:
        return function(_site(click.get_current_context()), *args, **kwargs)

    return cast("_F", with_site)


def named_server(ctx: click.Context) -> str | None:
    """What PENSTOCK_SERVER says, unless -C names a folder. Empty: no server, whatever the profile says."""
    if ctx.find_root().get_parameter_source("directory") is ParameterSource.COMMANDLINE:
        return ""
    return os.environ.get("PENSTOCK_SERVER")


def server_of(ctx: click.Context) -> Server | None:
    """The server to work with; None: the deployment in a folder. Raises Failure for wrong settings of it."""
    named = named_server(ctx)
    if named == "":
        return None
    if named is None and ctx.find_root().get_parameter_source("directory") is ParameterSource.ENVIRONMENT:
        return None
    from worker.cli.profile import profile_path

    if named is None and not profile_path().is_file():
        return None
    from worker.cli.profile import read_profile
    from worker.cli.server import Server, address

    kept = read_profile()
    if named is None:
        return kept and Server(kept.url, _key() or kept.key)
    url = address(named, insecure=os.environ.get("PENSTOCK_INSECURE") == "1")
    # A key that was kept for one server is not shown to another.
    return Server(url, _key() or (kept.key if kept and kept.url == url else None))


def refuse_server(ctx: click.Context, command: str, *, kept: bool) -> None:
    """Raises UsageError for a command that works in a folder only. `kept`: also when only the profile has a server."""
    server = named_server(ctx) or (server_of(ctx) if kept else None)
    if server:
        raise click.UsageError(
            f"`penstock {command}` works in a deployment's folder and not with a server: name the folder with -C, or "
            "set PENSTOCK_SERVER to nothing"
        )


def _site(ctx: click.Context) -> Site:
    server = server_of(ctx)
    if server is None:
        from worker.cli.local_door import LocalSite

        return LocalSite(ctx.find_object(Path) or Path())
    from worker.cli.remote_door import RemoteSite

    return RemoteSite(server)


def _key() -> str | None:
    from worker.cli import exit_codes
    from worker.cli.failure import Failure
    from worker.cli.server import checked_key

    key, path = os.environ.get("PENSTOCK_API_KEY"), os.environ.get("PENSTOCK_API_KEY_FILE")
    if key and path:
        raise Failure(exit_codes.USAGE, "PENSTOCK_API_KEY and PENSTOCK_API_KEY_FILE are both set: which one?")
    if key:
        return checked_key(key, "PENSTOCK_API_KEY")
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            text = file.read(_KEY_FILE_BYTES).decode("ascii", "replace").strip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no name of a file"
        raise Failure(exit_codes.NO_INPUT, f"PENSTOCK_API_KEY_FILE cannot be read: {why}") from None
    return checked_key(text, "PENSTOCK_API_KEY_FILE")
