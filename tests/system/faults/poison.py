"""Poison: what may lie in a queue of Redis, by what has to become of it."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import zlib
from collections.abc import Mapping
from typing import Any

_BODY = b'[[], {"a": 1}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]'
_HEAD = {"lang": "py", "argsrepr": "()", "kwargsrepr": "{}"}


def message(
    task: Any = "penstock.step",
    task_id: Any = "poison",
    body: bytes | str = _BODY,
    *,
    headers: Mapping[str, Any] | None = None,
    without: tuple[str, ...] = (),
    **fields: Any,
) -> bytes:
    """As kombu writes it, except for what is changed or left out; `fields` has `_` where the message has `-`."""
    parts: dict[str, Any] = {
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {**_HEAD, "task": task, "id": task_id, **(headers or {})},
        "properties": {
            "correlation_id": "x",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "penstock"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag",
        },
    }
    parts |= {name.replace("_", "-"): value for name, value in fields.items()}
    for name in without:
        parts["headers"].pop(name, None)
    for name in without:
        parts.pop(name, None)
    return json.dumps(parts).encode()


class _Bomb:
    """Runs a command where somebody unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__("os").system, ("touch /tmp/penstock-pickle-was-read",)


PICKLE_MARK = "/tmp/penstock-pickle-was-read"
_DEEP = b"[" * 10_000 + b"]" * 10_000

# No task can be made of these: they go to the dead letters as they are.
UNREADABLE: dict[str, bytes] = {
    "no bytes at all": b"",
    "bytes that are no JSON": b"\x80\x00\xff nothing",
    "half a message": message()[:-20],
    "a JSON number": b"42",
    "a JSON string": b'"text"',
    "null": b"null",
    "true": b"true",
    "a JSON array": b"[1, 2]",
    "an empty object": b"{}",
    "NaN": b'{"body": NaN}',
    "a duplicate key": b'{"body": "", "body": "", "headers": {}, "properties": {}}',
    "10,000 levels": _DEEP,
    "10,000 levels in the headers": message(headers={"x": 0}).replace(b'"x": 0', b'"x": ' + _DEEP),
    "no properties": message(without=("properties",)),
    "properties that are a list": message(properties=[]),
    "no headers": message(without=("headers",)),
    "headers that are a number": json.dumps({**json.loads(message()), "headers": 1}).encode(),
    "no body": message(without=("body",)),
    "a body that is an object": message(body={"a": 1}),  # type: ignore[arg-type]
    "bad base64": message(body="%%% no base64 %%%"),
    "no id": message(without=("id",)),
    "an id that is null": message(task_id=None),
    "an id that is a number": message(task_id=7),
    "an id that is a list": message(task_id=["x"]),
    "an empty id": message(task_id=""),
    "an id with a path": message(task_id="a/../../b"),
    "an id with a newline": message(task_id="a\nb"),
    "an id with a NUL": message(task_id="a\0b"),
    "an id that is too long": message(task_id="x" * 65),
    "no name": message(without=("task",)),
    "a name that is a number": message(task=1),
    "an unknown task": message(task="anybody.anything"),
    "an unknown script": message(task="penstock.no-such-script"),
    "a script with a path": message(task="penstock.../../etc/passwd"),
    "celery's map": message(task="celery.map"),
    "celery's chord": message(task="celery.chord_unlock"),
    "celery's backend cleanup": message(task="celery.backend_cleanup"),
    "celery's group": message(task="celery.group"),
}

# They name a known script and an id, and are wrong: a task that ended as malformed-payload.
MALFORMED: dict[str, dict[str, Any]] = {
    "a body of another shape": {"body": b'{"a": 1}'},
    "a body that is a number": {"body": b"1"},
    "a body that is no JSON": {"body": b"\x80 nothing"},
    "a body that is no UTF-8": {"body": b'[[], {"a": "\xff\xfe"}, {}]'},
    "an empty body": {"body": b""},
    "10,000 levels in the payload": {"body": b'[[], {"a": ' + _DEEP + b"}, {}]"},
    "arguments that are text": {"body": b'["text", {}, {}]'},
    "keyword arguments that are a list": {"body": b'[[], ["a"], {}]'},
    "several arguments": {"body": b"[[1, 2, 3], {}, {}]"},
    "a number out of range": {"body": b'[[], {"a": 1e999}, {}]'},
    "NaN": {"body": b'[[], {"a": NaN}, {}]'},
    "a lone surrogate": {"body": b'[[], {"a": "\\ud800"}, {}]'},
    "no content type": {"without": ("content-type",)},
    "a content type that is a number": {"content_type": 7},
    "an unknown content type": {"content_type": "text/html"},
    "pickle": {"body": pickle.dumps(([], _Bomb(), {})), "content_type": "application/x-python-serialize"},
    "YAML": {"body": b"- []\n- {a: 1}\n- {}\n", "content_type": "application/x-yaml"},
    "an unknown encoding": {"content_encoding": "utf-7"},
    "binary": {"content_encoding": "binary", "content_type": "application/data"},
    "a compressed body": {"body": zlib.compress(_BODY), "headers": {"compression": "application/x-gzip"}},
    "a compressed bomb": {
        "body": gzip.compress(b'[[], {"a": "' + b"x" * 64 * 1024**2 + b'"}, {}]'),
        "headers": {"compression": "application/x-gzip"},
    },
    "50 MB": {"body": b'[[], {"a": "' + b"x" * 36 * 1024**2 + b'"}, {}]'},
    "a garbage eta": {"headers": {"eta": "whenever"}},
    "a garbage expiry": {"headers": {"expires": {"never": True}}},
    "what its schema does not allow": {"body": b'[[], {"a": "no integer", "b": 2}, {}]'},
}

# They ask for more than a script, and get the script.
HARMLESS: dict[str, dict[str, Any]] = {
    "a garbage time limit": {"headers": {"timelimit": ["garbage", {}]}},
    "a time limit of nothing": {"headers": {"timelimit": [0.0001, 0.0001]}},
    "a garbage number of retries": {"headers": {"retries": "many"}},
    "callbacks": {
        "body": b'[[], {"a": 1}, {"callbacks": [{"task": "penstock.step", "args": [], "kwargs": {"a": 1}, '
        b'"options": {"task_id": "called-back", "queue": "penstock"}}], "errbacks": [1], "chain": ["x"], "chord": 7}]'
    },
    "a group": {"headers": {"group": "g", "group_index": "x", "root_id": 5, "parent_id": []}},
    "a reply to nobody": {"headers": {"reply_to": 1, "shadow": [], "origin": {}}},
    "stamps": {"headers": {"stamped_headers": [1], "stamps": "no"}},
    "no canvas": {"body": b'[[], {"a": 1}]'},
}
