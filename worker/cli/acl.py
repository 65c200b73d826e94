"""`penstock acl`: an account of one's own for each worker, producer, API server and beat."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from worker.cli import exit_codes

if TYPE_CHECKING:
    from worker.config import Catalog, Settings
    from worker.operations.grants import Queues, Role

ROLES = ("producer", "worker", "api", "beat", "admin")


@click.command("acl")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the account is for.")
@click.option(
    "--name", metavar="NAME", required=True, help="Its name; a worker's own, so that it can be revoked alone."
)
@click.option(
    "--url-file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The URL with the account's password, for broker.urlFile. Made, mode 0600, when it is not there.",
)
@click.option("--server", metavar="URL", help="The server, to make the file: rediss://queue.internal:6379/0.")
@click.option(
    "--queue",
    "queues",
    metavar="QUEUE",
    multiple=True,
    help="The queues that a worker takes from, or a producer fills; may be repeated [default: all of the deployment].",
)
@click.option("--no-queues", is_flag=True, help="Redis keeps the records only: the broker is another server.")
@click.pass_obj
def command(
    home: Path, role: str, name: str, url_file: Path, server: str | None, queues: tuple[str, ...], no_queues: bool
) -> int:
    """Print an account for the store or the broker.

    It lets in who has its password, and no further than its role needs. For Redis 7 or Valkey a line of the ACL
    file, with the SHA-256 of the password; for RabbitMQ (an amqp:// URL) commands for rabbitmqctl. Nothing is
    changed on the server. The password is in the file alone: it goes to the host of the account.

    \b
    Examples:
      penstock acl --role worker --name build-1 --url-file build-1.url --server rediss://queue.internal:6379/0
      penstock acl --role producer --name ci --queue builds --url-file ci.url >> users.acl
    """
    import hashlib

    from msgspec.structs import replace

    from worker.cli.account_file import password_of
    from worker.config import load_all
    from worker.config.commands import command_queues
    from worker.model.target import queue_of
    from worker.operations.grants import Role, acl_user, checked_account

    try:
        checked_account(name)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    settings, catalog = load_all(home)
    wanted = _queues(settings, catalog, queues)
    if role == Role.WORKER:
        commands = frozenset() if queues else command_queues(settings.worker)
        wanted = replace(wanted, own=wanted.own | {queue_of(name)} | commands)
    password = password_of(url_file, name, server)
    if url_file.read_text("ascii").startswith("amqp"):
        _tell_rabbit(Role(role), name, wanted, url_file)
        return exit_codes.COMPLETED
    digest = hashlib.sha256(password.encode()).hexdigest()
    click.echo(acl_user(Role(role), name, digest, None if no_queues else wanted))
    return exit_codes.COMPLETED


def _queues(settings: Settings, catalog: Catalog, named: tuple[str, ...]) -> Queues:
    from worker.cli.failure import unknown
    from worker.model.command import QUEUES
    from worker.operations.grants import Queues

    known = {p.script.queue or settings.default_queue for p in catalog}
    known |= {settings.default_queue, *settings.plain, *(settings.worker.queues or ())}
    # Those of `exec` and `shell` are filled by whoever submits, and taken from, or filled without us, by name only.
    every = known | set(QUEUES.values())
    for queue in named:
        if queue not in every:
            raise unknown("queue", queue, sorted(every))
    return Queues(frozenset(every), frozenset(named or known))


def _tell_rabbit(role: Role, name: str, queues: Queues, url_file: Path) -> None:
    from shlex import join, quote
    from urllib.parse import unquote, urlsplit

    from worker.operations.grants import rabbit_permissions

    host = unquote(urlsplit(url_file.read_text("ascii").strip()).path.removeprefix("/")) or "/"
    may = rabbit_permissions(role, queues)
    # From the file to rabbitmqctl without a command line that others can see.
    click.echo(rf"sed 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|' {quote(str(url_file))} | rabbitmqctl add_user {name}")
    click.echo(join(["rabbitmqctl", "set_permissions", "-p", host, name, may.configure, may.write, may.read]))
