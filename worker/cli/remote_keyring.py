"""Remote keyring: the API keys of a server, over its HTTP API. The server records what is done with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import PayloadError
from worker.cli import exit_codes, remote_values
from worker.cli.failure import Failure
from worker.cli.keyring import MadeKey, SeenKey, not_active
from worker.cli.moment import Moment
from worker.cli.remote_client import Client, Conflict, NotFound
from worker.model.api_key import KEY_ID

if TYPE_CHECKING:
    from worker.model.api_key import NewKey


class RemoteKeyring:
    """For as long as its client is open."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(self, new: NewKey) -> MadeKey:
        asked: dict[str, Any] = {"name": new.name, "scopes": sorted(new.scopes)}
        if new.role is not None:
            asked["role"] = new.role
        if new.ttl_s is not None:
            asked["expiresIn"] = Moment(after_s=new.ttl_s).text
        try:
            # Not again when no answer came: that may have made one that nobody knows.
            found = await self._client.post("/keys", asked, again=False)
        except PayloadError as error:
            # What cannot be a key is wrong usage, as it is here.
            raise Failure(exit_codes.USAGE, *(str(problem) for problem in error.problems)) from None
        return self._client.read(lambda: remote_values.made_key(found))

    async def list(self) -> tuple[SeenKey, ...]:
        found = await self._client.get("/keys")
        return self._client.read(lambda: remote_values.keys(found))

    async def revoke(self, key_id: str) -> bool:
        if not KEY_ID.match(key_id):
            return False
        try:
            await self._client.delete(f"/keys/{key_id}")
        except NotFound:
            return False
        return True

    async def rotate(self, key_id: str, *, overlap_s: float, ttl_s: float | None) -> MadeKey:
        if not KEY_ID.match(key_id):
            raise not_active(key_id)
        asked = {"overlap": Moment(after_s=overlap_s).text}
        if ttl_s is not None:
            asked["expiresIn"] = Moment(after_s=ttl_s).text
        try:
            found = await self._client.post(f"/keys/{key_id}/rotate", asked, again=False)
        except (NotFound, Conflict):
            raise not_active(key_id) from None
        return self._client.read(lambda: remote_values.made_key(found))
