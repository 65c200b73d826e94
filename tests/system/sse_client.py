"""A reader of server-sent events over a real connection, by the rules of the specification."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.system.http_client import BASE, Api
from tests.system.site import DEADLINE_S


@dataclass(frozen=True)
class Event:
    """`id` is the last one seen, as a browser keeps it."""

    name: str
    data: Any
    id: str


class Stream:
    """Opened when made. `status` and `headers` are the answer's; iterate for the events; close it."""

    def __init__(
        self, api: Api, path: str, last: str | None = None, key: str | None = None, cookie: str | None = None
    ) -> None:
        self._connection = http.client.HTTPConnection(api.host, api.port, timeout=DEADLINE_S)
        proof = {"Cookie": cookie} if cookie else {"X-API-Key": key or api.key or ""}
        headers = {**proof, **({"Last-Event-ID": last} if last is not None else {})}
        self._connection.request("GET", BASE + path, headers=headers)
        self.response = self._connection.getresponse()
        self.status = self.response.status
        self.comments = 0

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self.response.close()

    def __iter__(self) -> Iterator[Event]:
        name, data, last = "message", [], ""
        for raw in self._lines():
            line = raw.decode().rstrip("\n")
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                if data:
                    yield Event(name, json.loads("\n".join(data)), last)
                name, data = "message", []
            elif not field:
                self.comments += 1
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                last = value
            else:
                assert field == "retry", line

    def _lines(self) -> Iterator[bytes]:
        """What comes until the server closes, cleanly or in the middle."""
        while True:
            try:
                line = self.response.readline()
            except (http.client.IncompleteRead, ConnectionResetError):
                return
            if not line:
                return
            yield line


def read(api: Api, path: str, last: str | None = None) -> list[Event]:
    with Stream(api, path, last) as stream:
        assert stream.status == 200, stream.response.read()
        return list(stream)


def text(events: list[Event]) -> str:
    """The log that they tell."""
    return "".join(
        event.data["line"] + ("" if event.data.get("more") else "\n") for event in events if event.name == "log"
    )
