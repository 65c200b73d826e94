"""Leases: the claims of one worker, renewed together; by the same call it hears of cancellations."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from engine.log import printable
from engine.process.abort import Abort
from worker.model.task import CancelRequest, Claim
from worker.store import Records, StoreError

_logger = structlog.get_logger("penstock.worker")
# A cancellation is heard within a second; a lease is renewed many times before it would pass.
_INTERVAL_S = 0.5
# A run whose claim could not be renewed for this part of the lease is ended before anyone else may claim it.
_FENCE = 0.8


def cancelled_by(request: CancelRequest) -> str:
    return f"cancelled by {printable(request.by)}" + (f": {printable(request.why)}" if request.why else "")


class Leases:
    """Lives in the worker's event loop; `keep` runs as a task of its own for as long as the worker."""

    def __init__(self, records: Records, worker: str, lease_s: float) -> None:
        self._records = records
        self._worker = worker
        self._lease_s = lease_s
        self._held: dict[Claim, Abort] = {}
        self._renewed_at_s: dict[Claim, float] = {}

    @contextmanager
    def held(self, claim: Claim, abort: Abort) -> Iterator[None]:
        """Renew the claim until the block ends; `abort` is requested when it is lost or the task cancelled."""
        self._held[claim] = abort
        self._renewed_at_s[claim] = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            del self._held[claim]
            del self._renewed_at_s[claim]

    def abort_all(self, status: str, reason: str, message: str) -> None:
        for abort in self._held.values():
            abort.request(status, reason, message)

    async def keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if self._held:
                asked_at_s = loop.time()
                try:
                    await asyncio.wait_for(self._renew(asked_at_s), self._lease_s * _FENCE)
                except (StoreError, TimeoutError) as error:
                    _logger.warning("cannot renew leases", error=str(error) or type(error).__name__)
                self._fence(loop.time())

    async def _renew(self, asked_at_s: float) -> None:
        claims = list(self._held)
        renewals = await self._records.renew(self._worker, claims, self._lease_s)
        for claim, renewal in zip(claims, renewals, strict=True):
            abort = self._held.get(claim)
            if abort is None:
                continue
            if renewal.lost:
                abort.request("exception", "claim-expired", "another worker may have this run by now")
            else:
                self._renewed_at_s[claim] = asked_at_s
            if renewal.cancel:
                abort.request("cancelled", "cancelled", cancelled_by(renewal.cancel))

    def _fence(self, now_s: float) -> None:
        for claim, abort in self._held.items():
            if now_s - self._renewed_at_s[claim] > self._lease_s * _FENCE:
                abort.request("exception", "claim-expired", "the claim could not be renewed")
