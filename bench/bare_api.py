"""Bare API: one FastAPI route that answers with a small document and stands on nothing. The floor of bench.api."""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Document(BaseModel):
    task_id: str
    status: str


def main() -> None:
    """Serves until it is ended; tells where on stdout, as `penstock api` does."""
    app = FastAPI(openapi_url=None)

    @app.get("/bare")
    async def bare() -> Document:
        return Document(task_id="one", status="pending")

    # With its protocol, else asyncio leaves Nagle's algorithm on, and each answer waits for 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", ws="none", loop="asyncio", http="h11"
    )
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
