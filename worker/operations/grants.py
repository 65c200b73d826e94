"""Grants: what the account of each role may do on the store and the broker. Pure text; connects to nothing.

An ACL of Redis 7 or Valkey, and permissions of RabbitMQ. The keys come from the table of all keys, so that what is new
there has to be named here as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from worker.broker.kombu_redis import PRIORITY_STEPS, binding, list_key
from worker.model.target import QUEUE_PREFIX
from worker.store import keys
from worker.store.keys import Key

# In a file of accounts and in a URL it stands as it is.
ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")


class Role(StrEnum):
    PRODUCER = "producer"
    WORKER = "worker"
    API = "api"
    BEAT = "beat"
    ADMIN = "admin"


class Queues(Struct, frozen=True):
    """`all`: those of the deployment. `own`: of them those that the account takes from, or, a producer, fills."""

    all: frozenset[str]
    own: frozenset[str]


_RECORDS = (
    *(keys.TASK, keys.PAYLOAD, keys.BY_STATUS, keys.BY_SCRIPT, keys.FINISHED, keys.FINISHED_SCRIPTS, keys.IDEMPOTENCY),
    *(keys.LEASES, keys.HINTS, keys.DEADLINES, keys.WAITING, keys.THROTTLED, keys.STARTS, keys.CLOCK, keys.SWEPT),
    *(keys.EVENTS, keys.LOG, keys.PARENTS),
    *(keys.WORKFLOW_RUN, keys.WORKFLOW_RUNS, keys.WORKFLOW_RUNS_OF, keys.WORKFLOW_DUE, keys.WORKFLOW_FINISHED),
)
_LETTERS = (keys.DEAD_LETTERS, keys.DEAD_LETTER, keys.DEAD_LETTER_TOTALS)
_REGISTER = (keys.WORKERS, keys.WORKER_BEATS, keys.WORKER_ADMITS, keys.WORKER_WISHES)
# Who asks a worker writes where it listens, and reads its answer. A worker hears what is for it alone.
_ASKS = (keys.WORKER_ASKS, keys.WORKER_ANSWER)
_TAKEN = (keys.IN_FLIGHT, keys.CONSUMERS, keys.CONSUMER_LISTS)
_REGISTRY = (keys.REGISTRY, keys.REGISTRY_VERSION, keys.REGISTRATION, keys.APPROVALS)
# Of a key the store has the SHA-256 of 256 random bits. A run acts by the rights that its key has now.
_RIGHTS = (keys.API_KEYS, keys.API_KEY)
_SCHEDULES = (keys.SCHEDULES, keys.SCHEDULE, keys.SCHEDULE_TASKS, keys.SCHEDULE_RUNS, keys.SCHEDULE_CHANGES)
_WEBHOOKS = (keys.WEBHOOK_CURSOR, keys.WEBHOOK_SENDER, keys.WEBHOOK_DUE, keys.WEBHOOK_TRIED, keys.WEBHOOK_TOTALS)
_AUDIT = (keys.AUDIT, keys.AUDIT_REFUSED)

# By role the keys that it reads and writes, and those that it only reads. No other key exists for it.
WRITES: dict[Role, tuple[Key, ...]] = {
    Role.PRODUCER: (),
    Role.WORKER: (*_RECORDS, *_LETTERS, *_REGISTER, *_TAKEN, keys.REGISTRY_WORKERS),
    Role.API: (
        *(*_RECORDS, *_LETTERS, *_REGISTER, *_REGISTRY, *_RIGHTS, *_SCHEDULES, *_WEBHOOKS, *_AUDIT, keys.WORKFLOWS),
        *(*_ASKS, keys.REGISTRY_WORKERS, keys.SESSION),
    ),
    Role.BEAT: (*_RECORDS, keys.SCHEDULE, keys.SCHEDULE_TASKS, keys.SCHEDULE_RUNS, *_AUDIT),
}
READS: dict[Role, tuple[Key, ...]] = {
    Role.PRODUCER: (),
    Role.WORKER: (*_REGISTRY, *_RIGHTS, keys.WORKFLOWS),
    Role.API: (keys.CONSUMERS, keys.CONSUMER_LISTS),
    Role.BEAT: (*_REGISTRY, *_RIGHTS, *_REGISTER, keys.SCHEDULES, keys.SCHEDULE_CHANGES, keys.WORKFLOWS),
}

_CONNECT = ("ping", "select", "client|setname")  # a library that tells its version besides (7.2) goes on without
# What a producer with kombu or Celery sends, and one that pushes a message by hand.
PRODUCER_COMMANDS = (*_CONNECT, "multi", "exec", "lpush", "llen", "smembers", "sadd")
# What our code sends, directly or in a script; a test compares.
COMMANDS = (
    *(*_CONNECT, "time", "multi", "exec", "discard", "eval", "evalsha", "script|load"),
    *("del", "exists", "expire", "pexpire", "get", "set", "incr", "unlink"),
    *("hdel", "hexists", "hget", "hgetall", "hincrby", "hlen", "hmget", "hset", "hsetnx", "hstrlen", "hvals"),
    *("blmove", "blpop", "lindex", "llen", "lmove", "lpush", "lrange", "lrem", "ltrim", "rpush"),
    *("sadd", "scard", "smembers", "srem"),
    *("xadd", "xrange", "xread", "xrevrange"),
    *("zadd", "zcard", "zcount", "zrange", "zrangebyscore", "zrem", "zremrangebyrank", "zremrangebyscore"),
    *("zrevrange", "zrevrangebyscore", "zscore"),
)


def acl_user(role: Role, name: str, password_sha256: str, queues: Queues | None) -> str:
    """The line of an ACL file for an account. `queues` None: the queues are not on this server.

    Raises ValueError for what cannot be the name of an account.
    """
    rules = ["user", checked_account(name), "reset", "on", f"#{password_sha256}"]
    if role is Role.ADMIN:
        return " ".join([*rules, "~*", "&*", "+@all"])
    rules += [f"~{_pattern(key)}" for key in WRITES[role] if queues or key not in _TAKEN]
    rules += [f"%R~{_pattern(key)}" for key in READS[role] if queues or key not in _TAKEN]
    if role is Role.WORKER:
        rules += [f"~{keys.WORKER_ASKS.prefix}{name}", f"%W~{_pattern(keys.WORKER_ANSWER)}"]
    if queues:
        rules += _queue_rules(role, queues)
    rules += [f"+{command}" for command in (PRODUCER_COMMANDS if role is Role.PRODUCER else COMMANDS)]
    return " ".join(rules)


class RabbitPermissions(Struct, frozen=True):
    """Regular expressions over names of queues and exchanges; empty: none."""

    configure: str
    write: str
    read: str


def rabbit_permissions(role: Role, queues: Queues) -> RabbitPermissions:
    """What an account may do in its virtual host. A queue and the exchange that leads to it have the same name, and who
    publishes for Penstock declares both: so whoever does has these rights on all queues.
    """
    if role is Role.ADMIN:
        return RabbitPermissions(".*", ".*", ".*")
    if role is Role.PRODUCER:
        # To the exchange of a queue, or to the default one, whose messages reach every queue: that is not granted.
        return RabbitPermissions("", _any_of(queues.own), "")
    from worker.broker.rabbit_queues import DEAD  # brings Celery

    names, others = queues.all | {DEAD}, rf"{re.escape(QUEUE_PREFIX)}[A-Za-z0-9_.-]+"
    written = _any_of(names | {"amq.default"}, others)
    return RabbitPermissions(_any_of(names, others), written, _any_of(names, others))


def checked_account(name: str) -> str:
    """The same. Raises ValueError."""
    if ACCOUNT.match(name):
        return name
    raise ValueError(f"the name of an account has letters, digits, '.', '_' and '-', not {name[:80]!a}")


def _queue_rules(role: Role, queues: Queues) -> list[str]:
    takes = queues.own if role is Role.WORKER else frozenset()
    fills = queues.own if role is Role.PRODUCER else queues.all
    # What is addressed to one worker: whoever submits may fill the queue of each.
    rules = [] if role is Role.PRODUCER else [f"%W~{QUEUE_PREFIX}*"]
    for queue in sorted(takes | fills):
        permission = "~" if queue in takes else "%W~"
        rules += [f"{permission}{pattern}" for pattern in _lists(queue)]
        if queue in takes or role is Role.PRODUCER:
            rules += [f"~{key}" for key in (binding(queue)[0], binding(queue, permanent=True)[0])]
    return rules


def _lists(queue: str) -> tuple[str, str]:
    """The list of a queue, and those of its other priorities, whose names have two unprintable characters."""
    steps = "".join(str(step) for step in PRIORITY_STEPS if step)
    separated = len(list_key(queue, PRIORITY_STEPS[-1])) - len(queue) - 1
    return queue, f"{queue}{'?' * separated}[{steps}]"


def _pattern(key: Key) -> str:
    return re.sub("<[^>]*>", "*", key.name)


def _any_of(names: Iterable[str], *patterns: str) -> str:
    return f"^({'|'.join([*(re.escape(name) for name in sorted(names)), *patterns])})$"
