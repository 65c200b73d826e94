"""`penstock logout`: forget the server and the key that `login` has kept."""

from __future__ import annotations

import click

from worker.cli import exit_codes


@click.command("logout")
def command() -> int:
    """Forget the server and the API key that `login` has kept.

    The key itself stays valid: `penstock keys revoke` ends it. Nothing to forget is no mistake.

    \b
    Examples:
      penstock logout
    """
    from worker.cli.notice import notice
    from worker.cli.profile import profile_path, remove_profile

    notice(f"removed {profile_path()}" if remove_profile() else "nobody was logged in")
    return exit_codes.COMPLETED
