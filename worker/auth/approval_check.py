"""Approval check: verifies approvals in a process of its own, because a worker holds no cryptography in its memory.

stdin: {"key": PEM text, "approvals": [text, ...]}; stdout: what was signed in each, or null, as JSON in that order; or
{"error": text} for a key that is none. The exit code is 0 for both.
"""

from __future__ import annotations

import json
import sys

from msgspec import to_builtins


def main() -> None:
    from worker.auth.approval import KeyFileError, pem_keys, verify

    asked = json.load(sys.stdin)
    try:
        keys = pem_keys(asked["key"].encode())
    except KeyFileError as error:
        json.dump({"error": str(error)}, sys.stdout)
        return
    found = (verify(text, keys) for text in asked["approvals"])
    json.dump([to_builtins(each) if each else None for each in found], sys.stdout)


if __name__ == "__main__":
    main()
