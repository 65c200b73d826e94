"""Another machine: `penstock` with a server, where there is no deployment."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.system import forked, zygote
from tests.system.conftest import Result, environment
from tests.system.site import DEADLINE_S


@dataclass(frozen=True)
class Remote:
    """Another machine: an empty folder, a home of its own, and an address."""

    folder: Path
    url: str | None
    key: str | None = field(repr=False, default=None)

    def env(self, **more: str) -> dict[str, str]:
        ours = {"HOME": str(self.folder), "XDG_CONFIG_HOME": ""}
        if self.url is not None:
            ours["PENSTOCK_SERVER"] = self.url
        if self.key is not None:
            ours["PENSTOCK_API_KEY"] = self.key
        return environment({**ours, **more})

    def penstock(self, *arguments: str, stdin: bytes = b"", **env: str) -> Result:
        code, out, err = zygote.run(
            arguments, stdin=stdin, timeout_s=DEADLINE_S * 2, env=self.env(**env), cwd=self.folder
        )
        return Result(code, out.decode(), err.decode())

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        return forked.start(
            *arguments,
            **{
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "env": self.env(),
                "cwd": self.folder,
                **options,
            },
        )
