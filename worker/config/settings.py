"""Settings: config/penstock.yaml and the PENSTOCK_ variables, read once, checked as a whole."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import Struct, field

from engine.errors import DeclarationError, Problem
from engine.hiding import Hiding
from engine.schema import Schema
from engine.script import PluginSettings
from engine.script.document import Document, read_document
from engine.script.quantities import parse_duration, parse_rate, parse_size
from worker.config.declaration import SETTINGS_SCHEMA
from worker.config.programs import Program, read_programs
from worker.config.secret import Secret
from worker.config.webhooks import WebhookSettings, check_url
from worker.model.access import ROLES
from worker.model.command import QUEUES
from worker.model.target import worker_of
from worker.model.worker import NO_NAMES, WORKER_NAME

_Q = TypeVar("_Q")
FILE = Path("config") / "penstock.yaml"
# Room for the logs and artifacts of some short tasks, and for the store to go on.
MIN_FREE_DISK = 256 * 1024 * 1024
# Below this a host swaps, or the kernel chooses a process to end.
MIN_FREE_MEMORY = 64 * 1024 * 1024
# Who beats more often costs the store more than it tells; who beats less often is missed too late.
_BEAT_S = (0.2, 300.0)


class WorkerSettings(Struct, frozen=True):
    """`queues` None: every queue that an enabled script names, the default queue, and those of plain documents.

    Of registered scripts only those run that config/allow.yaml or `approval_key_file`, a public key, admits.

    `exec` starts these `programs` only, `shell` any text where it is allowed; both work in `command_folders`. Payloads
    may name `facts`, where the script lets them.

    `min_free_disk`: nothing is taken while the file system of the state folder has less bytes than this;
    `min_free_memory`: while so many cannot be had. It says every `beat_s` that it lives.
    """

    name: str
    concurrency: int = 8
    queues: tuple[str, ...] | None = None
    lease_s: float = 15.0
    shutdown_grace_s: float = 30.0
    min_free_disk: int = MIN_FREE_DISK
    min_free_memory: int = MIN_FREE_MEMORY
    beat_s: float = 5.0
    labels: tuple[str, ...] = ()
    allow_inline_bodies: bool = False
    approval_key_file: Path | None = None
    programs: Mapping[str, Program] = field(default_factory=lambda: MappingProxyType({}))
    allow_arbitrary_shell: bool = False
    command_folders: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class LogSettings(Struct, frozen=True):
    """How the worker itself logs. `auto`: readable on a terminal, JSON otherwise.

    `file`: where a worker's log goes besides stderr; `file_size` in bytes, `files_kept` compressed ones stay.
    """

    format: str = "auto"
    level: str = "info"
    file: Path | None = None
    file_size: int = 10 * 1024 * 1024
    files_kept: int = 5


class JwtSettings(Struct, frozen=True):
    """Tokens of one issuer. `file` holds a JWKS (`jwks`) or one public key in PEM. No `algorithms`: what fits it."""

    issuer: str
    audience: str
    file: Path
    jwks: bool
    algorithms: tuple[str, ...] = ()

    @property
    def member(self) -> str:
        """The setting that named the file."""
        return "jwksFile" if self.jwks else "keyFile"


class BasicSettings(Struct, frozen=True):
    """The bootstrap admin. `file` holds the hash of the password."""

    user: str
    file: Path


class AuthSettings(Struct, frozen=True):
    """Who is known besides the API keys, which are in the store. `roles` are the deployment's own."""

    jwt: JwtSettings | None = None
    basic: BasicSettings | None = None
    roles: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))


class AuditSettings(Struct, frozen=True):
    """How many entries are kept, roughly: of what was done, and of what was refused."""

    kept: int = 100_000
    refused_kept: int = 20_000


class ApiSettings(Struct, frozen=True):
    """The HTTP API. `port` None: the default port, or any free one for `penstock up` when that is taken.

    `rate_limit`: so many requests in so many seconds, for each caller; None: as many as they like. `origins`: pages of
    these may call the API from a browser. `max_output`: bytes of the log in the answers below `/executions`. Text files
    below `folders`, by their names, may be read, up to `max_file` bytes.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    max_body: int = 1024 * 1024
    body_timeout_s: float = 10.0
    max_wait_s: float = 25.0
    max_output: int = 1024 * 1024
    folders: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    max_file: int = 1024 * 1024
    rate_limit: tuple[int, float] | None = (200, 1.0)
    origins: tuple[str, ...] = ()


class Settings(Hiding, frozen=True):
    """What holds for a deployment. `home` and `state_dir` are absolute. No broker URL: the embedded store.

    `start_within_s`: what is for certain workers and has not been started so long after it was due ends as `no-answer`.
    `plain`: by the name of a queue the script whose payloads it may hold as plain JSON documents.
    """

    HIDDEN = frozenset({"document"})

    home: Path
    state_dir: Path
    worker: WorkerSettings
    broker_url: Secret | None = None
    store_url: Secret | None = None
    default_queue: str = "penstock"
    plain: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    log: LogSettings = LogSettings()
    api: ApiSettings = ApiSettings()
    webhooks: tuple[WebhookSettings, ...] = ()
    start_within_s: float = 300.0
    retention_s: float = 30 * 24 * 3600.0
    retention_count: int = 100_000
    plugins: PluginSettings = field(default_factory=PluginSettings)
    auth: AuthSettings = field(default_factory=AuthSettings)
    audit: AuditSettings = AuditSettings()
    secret_key_file: Path | None = None
    document: Document | None = None

    @property
    def embedded(self) -> bool:
        return self.broker_url is None

    @property
    def secret_keys(self) -> Path:
        """The file with the keys of secrets at rest, which is made when it is needed first."""
        return self.secret_key_file or self.state_dir / "secrets.key"

    def problem(self, pointer: str, message: str) -> Problem:
        """A problem of the settings, with file, line and column when they were read from a file."""
        return self.document.problem(pointer, message) if self.document else Problem(message, pointer)

    @property
    def scripts_folder(self) -> Path:
        return self.home / "config" / "scripts"


def load_settings(home: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of the deployment at `home`. A missing or empty file means defaults.

    Raises DeclarationError with every problem, each with file, line and JSON pointer.
    """
    home = home.absolute()
    if not home.is_dir():
        raise DeclarationError([Problem(f"no such folder: {home}")])
    path = home / FILE
    document = read_document(path) if path.exists() else Document.empty(path)
    problems = [
        document.problem(problem.pointer, problem.message)
        for problem in Schema.compile(SETTINGS_SCHEMA, owner="settings").check(document.value)
    ]
    if problems:
        raise DeclarationError(problems)
    reader = _Reader(document, home, environ)
    settings = reader.settings()
    if reader.problems:
        raise DeclarationError(reader.problems)
    return settings


class _Reader:
    """Turns the checked document into settings and collects what a schema cannot tell."""

    def __init__(self, document: Document, home: Path, environ: Mapping[str, str]) -> None:
        self._document = document
        self._home = home
        self._environ = environ
        self.problems: list[Problem] = []

    def settings(self) -> Settings:
        value = self._document.value
        broker = self._url("broker", "PENSTOCK_BROKER_URL", ("redis", "rediss", "redis+socket", "amqp", "amqps"))
        store = self._url("store", "PENSTOCK_STORE_URL", ("redis", "rediss", "unix", "redis+socket"))
        if broker and store is None:
            if broker.value.startswith("amqp"):
                self._problem("/store/url", "a RabbitMQ broker keeps no records: name the Redis that does as store.url")
            else:
                store = broker
        if store and broker is None:
            self._problem("/broker/url", "store.url without broker.url: name the broker too, or neither")
        queues = value.get("worker", {}).get("queues", ())
        places = [("/queue", value.get("queue", "")), *((f"/queues/{name}", name) for name in value.get("queues", {}))]
        for place, queue in (*places, *((f"/worker/queues/{number}", name) for number, name in enumerate(queues))):
            if why := reserved_queue(queue):
                self._problem(place, why)
        retention = value.get("retention", {})
        worker = self._worker(value.get("worker", {}))
        return Settings(
            home=self._home,
            state_dir=(self._home / os.path.expanduser(value.get("stateDir", ".penstock"))).absolute(),
            worker=worker,
            broker_url=broker,
            store_url=store,
            default_queue=value.get("queue", "penstock"),
            plain=MappingProxyType({name: queue["plain"] for name, queue in value.get("queues", {}).items()}),
            log=self._log(value.get("log", {}), worker.name),
            api=self._api(value.get("api", {})),
            webhooks=tuple(self._webhook(n, each) for n, each in enumerate(value.get("webhooks", ()))),
            start_within_s=self._duration("/targets/startWithin", value.get("targets", {}).get("startWithin"), 300.0),
            retention_s=self._duration("/retention/age", retention.get("age"), 30 * 24 * 3600.0),
            retention_count=retention.get("count", 100_000),
            plugins=_plugins(value.get("plugins", {})),
            auth=self._auth(value.get("auth", {})),
            audit=_audit(value.get("audit", {})),
            secret_key_file=self._file(value["secrets"]["keyFile"]) if value.get("secrets") else None,
            document=self._document,
        )

    def _worker(self, value: Mapping[str, Any]) -> WorkerSettings:
        name = self._environ.get("PENSTOCK_WORKER_NAME") or value.get("name") or socket.gethostname()
        if not WORKER_NAME.match(name) or name in NO_NAMES:
            self._problem("/worker/name", f"a worker's name has letters, digits, '.', '_' and '-', not {name!r:.80}")
        beat_s = self._duration("/worker/beat", value.get("beat"), 5.0)
        if not _BEAT_S[0] <= beat_s <= _BEAT_S[1]:
            self._problem("/worker/beat", f"a worker beats every {_BEAT_S[0]} to {_BEAT_S[1]:.0f} seconds")
        queues = value.get("queues")
        return WorkerSettings(
            name=name,
            concurrency=value.get("concurrency", 8),
            queues=tuple(queues) if queues is not None else None,
            lease_s=self._duration("/worker/lease", value.get("lease"), 15.0),
            shutdown_grace_s=self._duration("/worker/shutdownGrace", value.get("shutdownGrace"), 30.0),
            min_free_disk=self._size("/worker/minFreeDisk", value.get("minFreeDisk"), MIN_FREE_DISK),
            min_free_memory=self._size("/worker/minFreeMemory", value.get("minFreeMemory"), MIN_FREE_MEMORY),
            beat_s=beat_s,
            labels=tuple(sorted(value.get("labels", ()))),
            allow_inline_bodies=value.get("allowInlineBodies", False),
            approval_key_file=self._file(value["approvalKeyFile"]) if "approvalKeyFile" in value else None,
            programs=self._programs(value),
            allow_arbitrary_shell=value.get("allowArbitraryShell", False),
            command_folders=tuple(value.get("commandFolders", ())),
            facts=MappingProxyType(value.get("facts", {})),
        )

    def _log(self, value: Mapping[str, Any], name: str) -> LogSettings:
        usual = LogSettings()
        return LogSettings(
            format=value.get("format", usual.format),
            level=value.get("level", usual.level),
            file=self._file(value["file"].replace("{name}", name)) if "file" in value else None,
            file_size=self._size("/log/fileSize", value.get("fileSize"), usual.file_size),
            files_kept=value.get("filesKept", usual.files_kept),
        )

    def _programs(self, value: Mapping[str, Any]) -> Mapping[str, Program]:
        found, problems = read_programs(value.get("programs", {}), value.get("commandFolders", ()))
        for place, message in problems:
            self._problem(f"/worker{place}", message)
        return MappingProxyType(found)

    def _auth(self, value: Mapping[str, Any]) -> AuthSettings:
        roles = value.get("roles", {})
        for name in sorted(roles.keys() & ROLES.keys()):
            self._problem(f"/auth/roles/{name}", f"the role {name} is built in; give yours another name")
        jwt, basic = value.get("jwt"), value.get("basic")
        return AuthSettings(
            jwt=self._jwt(jwt) if jwt is not None else None,
            basic=BasicSettings(basic["user"], self._file(basic["passwordHashFile"])) if basic is not None else None,
            roles=MappingProxyType({name: frozenset(scopes) for name, scopes in roles.items()}),
        )

    def _jwt(self, value: Mapping[str, Any]) -> JwtSettings | None:
        files = [name for name in ("keyFile", "jwksFile") if name in value]
        if len(files) != 1:
            self._problem("/auth/jwt", "name either keyFile (one public key in PEM) or jwksFile (a JWKS)")
            return None
        [name] = files
        return JwtSettings(
            issuer=value["issuer"],
            audience=value["audience"],
            file=self._file(value[name]),
            jwks=name == "jwksFile",
            algorithms=tuple(value.get("algorithms", ())),
        )

    def _file(self, path: str) -> Path:
        return self._home / os.path.expanduser(path)

    def _api(self, value: Mapping[str, Any]) -> ApiSettings:
        rate, usual = value.get("rateLimit"), ApiSettings()
        return ApiSettings(
            host=value.get("host", usual.host),
            port=value.get("port"),
            max_body=self._size("/api/maxBody", value.get("maxBody"), usual.max_body),
            body_timeout_s=self._duration("/api/bodyTimeout", value.get("bodyTimeout"), usual.body_timeout_s),
            max_wait_s=self._duration("/api/maxWait", value.get("maxWait"), usual.max_wait_s),
            max_output=self._size("/api/maxOutput", value.get("maxOutput"), usual.max_output),
            rate_limit=None if rate == "none" else self._quantity("/api/rateLimit", parse_rate, rate, (200, 1.0)),
            origins=tuple(value.get("origins", ())),
            folders=MappingProxyType({name: self._file(path) for name, path in value.get("folders", {}).items()}),
            max_file=self._size("/api/maxFile", value.get("maxFile"), usual.max_file),
        )

    def _webhook(self, number: int, value: Mapping[str, Any]) -> WebhookSettings:
        place = f"/webhooks/{number}"
        names = [each["name"] for each in self._document.value["webhooks"][:number]]
        if value["name"] in names:
            self._problem(f"{place}/name", f"there is another webhook named {value['name']}")
        if "url" in value:
            try:
                check_url(value["url"])
            except ValueError as error:
                self._problem(f"{place}/url", str(error))
        return WebhookSettings(
            name=value["name"],
            secret_file=self._home / value["secretFile"],
            url=Secret(value["url"]) if "url" in value else None,
            url_file=self._home / value["urlFile"] if "urlFile" in value else None,
            scripts=frozenset(value["scripts"]) if "scripts" in value else None,
            statuses=frozenset(value["statuses"]) if "statuses" in value else None,
            timeout_s=self._duration(f"{place}/timeout", value.get("timeout"), 10.0),
        )

    def _duration(self, pointer: str, value: float | str | None, default: float) -> float:
        return self._quantity(pointer, parse_duration, value, default)

    def _size(self, pointer: str, value: int | str | None, default: int) -> int:
        return self._quantity(pointer, parse_size, value, default)

    def _quantity(self, pointer: str, parse: Callable[[Any], _Q], value: Any, default: _Q) -> _Q:
        if value is None:
            return default
        try:
            return parse(value)
        except ValueError as error:
            self._problem(pointer, str(error))
            return default

    def _url(self, section: str, variable: str, schemes: tuple[str, ...]) -> Secret | None:
        """From the environment, else `url`, else the content of `urlFile`."""
        value = self._document.value.get(section, {})
        text, place = self._environ.get(variable), f"/{section}/url"
        from_environment = bool(text)
        if not text and "urlFile" in value:
            place = f"/{section}/urlFile"
            try:
                text = (self._home / value["urlFile"]).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self._problem(place, f"cannot be read: {error}")
        text = text or value.get("url")
        if not text:
            return None
        if text.partition("://")[0] not in schemes:
            # The text itself may hold a password.
            message = f"expected a URL that starts with one of: {', '.join(s + '://' for s in schemes)}"
            if from_environment:
                self.problems.append(Problem(f"{variable} in the environment: {message}"))
            else:
                self._problem(place, message)
            return None
        return Secret(text)

    def _problem(self, pointer: str, message: str) -> None:
        self.problems.append(self._document.problem(pointer, message))


def reserved_queue(name: str) -> str | None:
    """Why a deployment may not name the queue; None: it may."""
    if worker_of(name):
        return f"{name} is the queue of what is for one worker alone; give yours another name"
    if name in QUEUES.values():
        return f"{name} is the queue of a command of Penstock's own; give yours another name"
    return None


def _audit(value: Mapping[str, Any]) -> AuditSettings:
    return AuditSettings(value.get("entries", AuditSettings().kept), value.get("refused", AuditSettings().refused_kept))


def _plugins(value: Mapping[str, Any]) -> PluginSettings:
    return PluginSettings(
        frozenset(value.get("disabled", ())),
        {name: part for name, part in value.items() if name != "disabled"},
    )
