"""First key: an admin's, made once, so that nobody begins with a default secret."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from worker.model.api_key import NewKey, id_in
from worker.store import StoreError
from worker.store.api_keys import ApiKeys, fresh_text

FILE = "api-key"
_NAME = "first"


async def ensure_first_key(keys: ApiKeys, state_dir: Path, made_by: str = "penstock up") -> str | None:
    """Make an admin key and keep it in `state_dir/api-key`, readable by its owner alone; returns it, to be shown once.

    None when there is a key already, or ever was one: whoever revoked it does not get it back. Of several calls at
    the same time one makes it. Raises OSError when the file cannot be written, and then there is no key; and
    StoreUnavailable, with the file left when it is not known whether its key was made.
    """
    text = fresh_text()
    # The file first: a key that nobody knows would be the first one for ever.
    new = state_dir / f".{FILE}-{secrets.token_hex(6)}"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(file, "w") as stream:
            stream.write(text + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        if not await _made(keys, text, made_by):
            return None
        os.replace(new, state_dir / FILE)
        return text
    except StoreError:
        # Kept under its name all the same, where nothing else has it: if the key was made, nobody can make another.
        with suppress(FileExistsError):
            os.link(new, state_dir / FILE)
        raise
    finally:
        new.unlink(missing_ok=True)


async def _made(keys: ApiKeys, text: str, made_by: str) -> bool:
    """A call whose answer was lost is made again, and is then told that there is a key: it may be this one."""
    with suppress(StoreError):
        if await keys.create_first(NewKey(_NAME, role="admin", made_by=made_by), text):
            return True
    return await keys.get(id_in(text) or "") is not None
