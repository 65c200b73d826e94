"""The first key: made once, kept by its owner alone, never made again."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from worker.auth.authenticator import Authenticator
from worker.auth.key_proof import KeyProof
from worker.embedded import Embedded
from worker.model.api_key import NewKey
from worker.operations.first_key import FILE, ensure_first_key
from worker.store import connect
from worker.store.api_keys import ApiKeys


def test_of_several_at_once_one_makes_the_key_and_keeps_it_for_its_owner(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        client = connect(store.url)
        keys = ApiKeys(client)
        made = await asyncio.gather(*(ensure_first_key(keys, tmp_path) for _ in range(8)))
        [text] = [one for one in made if one]
        assert (tmp_path / FILE).read_text() == text + "\n"
        assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
        assert os.listdir(tmp_path) == [FILE]
        who = await Authenticator(KeyProof(keys, {})).authenticate({"x-api-key": text})
        assert (who.name, who.scopes) == ("first", frozenset({"*"}))
        await keys.revoke(who.key_id or "")
        (tmp_path / FILE).unlink()
        assert await ensure_first_key(keys, tmp_path) is None
        assert os.listdir(tmp_path) == []
        await client.aclose()

    asyncio.run(scene())


def test_it_is_not_made_beside_a_key_that_there_is(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        client = connect(store.url)
        await ApiKeys(client).create(NewKey("ci", role="reader"))
        assert await ensure_first_key(ApiKeys(client), tmp_path) is None
        await client.aclose()

    asyncio.run(scene())


def test_neither_a_link_nor_an_old_file_in_its_place_is_written_through(store: Embedded, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    state = tmp_path / "state"
    state.mkdir()
    (state / FILE).symlink_to(outside)

    async def scene() -> None:
        client = connect(store.url)
        text = await ensure_first_key(ApiKeys(client), state)
        assert text and (state / FILE).read_text() == text + "\n" and not (state / FILE).is_symlink()
        assert outside.read_text() == "mine"
        await client.aclose()

    asyncio.run(scene())


def test_where_the_file_cannot_be_written_there_is_no_key_either(store: Embedded, tmp_path: Path) -> None:
    async def scene() -> None:
        client = connect(store.url)
        keys = ApiKeys(client)
        with pytest.raises(OSError):
            await ensure_first_key(keys, tmp_path / "gone")
        assert await keys.list() == ()
        await client.aclose()

    asyncio.run(scene())


@pytest.mark.parametrize("lost", ["every", "first"])
def test_a_key_whose_making_was_answered_to_nobody_is_kept(store: Embedded, tmp_path: Path, lost: str) -> None:
    """Between us and the store stands what swallows answers and cuts the connection."""

    async def scene() -> None:
        direct = connect(store.url)
        cut = 0

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal cut
            back, there = await asyncio.open_unix_connection(str(store.socket))
            try:
                while data := await reader.read(65536):
                    there.write(data)
                    answer = await back.read(65536)
                    if b"EVAL" in data and b"NOSCRIPT" not in answer and (lost == "every" or not cut):
                        cut += 1
                        return
                    writer.write(answer)
            finally:
                writer.close()
                there.close()

        socket = tmp_path / "s"
        async with await asyncio.start_unix_server(pass_on, socket):
            client = connect(f"unix://{socket}")
            keys_dir = tmp_path / "state"
            keys_dir.mkdir()
            text = await ensure_first_key(ApiKeys(client), keys_dir)
            assert text and (keys_dir / FILE).read_text() == text + "\n"
            assert cut and os.listdir(keys_dir) == [FILE]
            who = await Authenticator(KeyProof(ApiKeys(direct), {})).authenticate({"x-api-key": text})
            assert who.name == "first"
            await client.aclose()
        await direct.aclose()

    asyncio.run(scene())
