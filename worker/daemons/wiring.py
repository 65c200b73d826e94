"""Wiring: builds everything from the settings; the only reader of all of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redis.exceptions
from msgspec import Struct
from redis.asyncio import Redis

from engine.errors import PenstockError
from worker.config import Catalog, Settings, load_all
from worker.daemons.proofs import proofs
from worker.model.command import COMMANDS, QUEUES
from worker.store import Records, StoreError, connect
from worker.store.errors import refuses_account
from worker.store.files import Files
from worker.store.live_log import LiveLog
from worker.store.piped import PipedRedis

if TYPE_CHECKING:
    from worker.auth.authenticator import Authenticator
    from worker.auth.session_proof import SessionProof
    from worker.broker.app import App
    from worker.operations.address import Fleet
    from worker.operations.registered_scripts import RegisteredScripts
    from worker.store.api_keys import ApiKeys
    from worker.store.audit import Audit
    from worker.store.schedules import Schedules


class NotReachable(PenstockError):
    """The store or the broker does not answer; the message says what to do."""


class Deployment(Struct, frozen=True):
    """A folder with its settings and scripts, checked."""

    settings: Settings
    catalog: Catalog


class Store(Struct, frozen=True):
    """The records, logs and artifacts of a deployment."""

    redis: Redis
    broker: Redis | None
    """The Redis that holds the queues, the same client when it is the same server; None: the broker is another kind."""
    records: Records
    live_log: LiveLog
    files: Files


class Access(Struct, frozen=True):
    """Who may do what, and the record of it."""

    authenticator: Authenticator
    sessions: SessionProof
    keys: ApiKeys
    audit: Audit


def home_of(directory: str | None) -> Path:
    """The deployment's folder: the one given, else PENSTOCK_HOME, else the current one."""
    return Path(directory or os.environ.get("PENSTOCK_HOME") or ".").absolute()


def open_deployment(home: Path) -> Deployment:
    """Raises DeclarationError with every problem of the settings and of all scripts."""
    return Deployment(*load_all(home))


def store_folder(settings: Settings) -> Path:
    return settings.state_dir / "store"


def store_url(settings: Settings) -> str:
    if settings.store_url:
        return settings.store_url.value
    from worker.embedded import Embedded

    return Embedded(store_folder(settings)).url


def broker_url(settings: Settings) -> str:
    if settings.broker_url:
        return settings.broker_url.value
    from worker.embedded import Embedded

    return Embedded(store_folder(settings)).celery_url


def files_of(settings: Settings) -> Files:
    return Files(settings.state_dir / "artifacts")


@asynccontextmanager
async def open_store(settings: Settings, *, piped: bool = False) -> AsyncIterator[Store]:
    """Connect to the store that runs. Raises NotReachable when none does. `piped`: for many calls at the same time."""
    kind = PipedRedis if piped else Redis
    client = connect(store_url(settings), kind=kind)
    url = broker_url(settings)
    broker = client if url == store_url(settings) or settings.embedded else None
    if broker is None and not url.startswith("amqp"):
        broker = connect(url, kind=kind)
    try:
        try:
            await client.ping()
        except (redis.exceptions.RedisError, StoreError, OSError) as error:
            raise NotReachable(_unreachable(settings, error)) from error
        yield Store(client, broker, Records(client), LiveLog(client), files_of(settings))
    finally:
        await client.aclose()
        if broker is not None and broker is not client:
            await broker.aclose()


def open_access(settings: Settings, store: Store) -> Access:
    """Raises DeclarationError when what `auth` in the settings names cannot be used."""
    # Cryptography is for who asks for proofs; a worker needs none.
    from worker.auth.authenticator import Authenticator
    from worker.auth.key_proof import KeyProof
    from worker.auth.session_proof import SessionProof
    from worker.store.api_keys import ApiKeys
    from worker.store.sessions import Sessions

    keys = ApiKeys(store.redis)
    by_key = KeyProof(keys, settings.auth.roles)
    tokens, basic = proofs(settings)
    sessions = SessionProof(Sessions(store.redis), by_key, basic)
    return Access(Authenticator(by_key, tokens, basic, sessions), sessions, keys, open_audit(settings, store))


def open_audit(settings: Settings, store: Store) -> Audit:
    from worker.store.audit import Audit

    return Audit(store.redis, kept=settings.audit.kept, refused_kept=settings.audit.refused_kept)


def registered_scripts(deployment: Deployment, store: Store, *, working: bool = False) -> RegisteredScripts:
    """The scripts that were registered, for the deployment's catalog. Nothing is read yet. `working`: for a worker."""
    from worker.operations.registered_scripts import Policy, RegisteredScripts
    from worker.store.registry import Registry

    settings = deployment.settings
    policy = None
    if working:
        from worker.config.allow import AllowList
        from worker.operations.approvals import Approvals

        approvals = Approvals(settings.worker.approval_key_file)
        policy = Policy(AllowList(settings.home), approvals, settings.worker.allow_inline_bodies)
    return RegisteredScripts(Registry(store.redis), deployment.catalog, settings.home, policy)


def schedules_of(settings: Settings, store: Store) -> Schedules:
    """The one way to them for whoever reads payloads: with the keys of those that hold secrets."""
    from worker.auth.sealed import Sealed
    from worker.store.schedules import Schedules

    return Schedules(store.redis, Sealed(settings.secret_keys))


def fleet_of(settings: Settings, store: Store) -> Fleet:
    """The workers that a target may mean."""
    from worker.operations.address import Fleet
    from worker.store.targets import Targets
    from worker.store.workers import Workers

    return Fleet(Workers(store.redis), Targets(store.redis), settings.start_within_s)


def publishing_app(deployment: Deployment) -> App:
    """The Celery app of the deployment, with the queues of all its scripts. Makes no connection yet."""
    # Celery takes 0.3 s to import, which commands that only read do without.
    from worker.broker.app import make_app

    settings, catalog = deployment.settings, deployment.catalog
    queues = {p.script.queue or settings.default_queue for p in catalog} | set(settings.worker.queues or ())
    scripts = {*catalog.scripts, *COMMANDS}
    return make_app(broker_url(settings), scripts, queues | set(QUEUES.values()), settings.default_queue)


def _unreachable(settings: Settings, error: redis.exceptions.RedisError | StoreError | OSError) -> str:
    if settings.embedded:
        return f"no store runs for {settings.home}: start one with `penstock up`"
    shown = settings.store_url.shown if settings.store_url else ""
    if not isinstance(error, StoreError) and refuses_account(error):
        return f"the store at {shown} refuses this account; is it revoked, or the password another one? {error}"
    return f"the store at {shown} does not answer: {error}"
