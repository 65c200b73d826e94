"""`penstock scripts update`: the next version of a registered script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from worker.cli.options import json_option, script_argument
from worker.cli.registry.asked import asked
from worker.cli.registry.declaring import declaration, declaring
from worker.cli.registry.register import tell
from worker.cli.site import pass_site

if TYPE_CHECKING:
    from worker.cli.door import Site


@click.command("update")
@script_argument()
@declaring
@json_option("the version that was made")
@pass_site
def command(site: Site, /, script: str, as_json: bool, **options: Any) -> int:
    """Change a registered script; what it was stays as an older version.

    All is said anew: what is left out is not taken from the version before. The new version needs an approval of its
    own. Update a script as well when its file has changed.

    \b
    Examples:
      penstock scripts update rotate-logs scripts/rotate-logs.sh --file rotate-logs.yaml
    """
    declared = declaration(**options)
    tell(asked(site, lambda registry: registry.update(script, declared)), as_json)
    return 0
