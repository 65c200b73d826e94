"""Leases: the claims of one worker, renewed together; by the same call it hears of cancellations."""

from __future__ import annotations

import asyncio

import structlog
from msgspec import Struct

from engine.log import printable
from engine.process.abort import Abort
from engine.process.lifeline import Lifeline
from worker.model.task import CancelRequest, Claim
from worker.store import Records, StoreError

_logger = structlog.get_logger("penstock.worker")
# A cancellation is heard within a second; a lease is renewed many times before it would pass.
_INTERVAL_S = 0.5
# A run whose claim could not be renewed for this part of the lease is ended before anyone else may claim it.
_FENCE = 0.8


def cancelled_by(request: CancelRequest) -> str:
    return f"cancelled by {printable(request.by)}" + (f": {printable(request.why)}" if request.why else "")


class _Held(Struct):
    abort: Abort
    lifeline: Lifeline
    renewed_at_s: float


class Leases:
    """Lives in the worker's event loop; `keep` runs as a task of its own for as long as the worker."""

    def __init__(self, records: Records, worker: str, lease_s: float) -> None:
        self._records = records
        self._worker = worker
        self._lease_s = lease_s
        self._held: dict[Claim, _Held] = {}
        self._all: tuple[str, str, str] | None = None

    def hold(self, claim: Claim, abort: Abort, claimed_at_s: float) -> Lifeline:
        """Renew the claim until `release`; `abort` is requested when it is lost or the task cancelled.

        `claimed_at_s`: when the claim was asked for, by the loop's clock. The lifeline is for the supervisor of the
        run, which ends it when this process cannot.
        """
        left_s = claimed_at_s + self._lease_s * _FENCE - asyncio.get_running_loop().time()
        held = _Held(abort, Lifeline(max(0.0, left_s)), claimed_at_s)
        self._held[claim] = held
        if self._all:
            abort.request(*self._all)
        return held.lifeline

    def release(self, claim: Claim) -> None:
        """The end of the run is recorded, or somebody else's to record."""
        del self._held[claim]

    def lapsed(self, claim: Claim) -> bool:
        """Whether somebody else may have the run by now."""
        return asyncio.get_running_loop().time() - self._held[claim].renewed_at_s > self._lease_s * _FENCE

    def tasks(self) -> tuple[str, ...]:
        """Whose runs these are."""
        return tuple(claim.task_id for claim in self._held)

    def abort_all(self, status: str, reason: str, message: str) -> None:
        """End what runs, and whatever is claimed from now on."""
        self._all = (status, reason, message)
        for held in self._held.values():
            held.abort.request(status, reason, message)

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
            held = self._held.get(claim)
            if held is None:
                continue
            if renewal.lost:
                held.abort.request("exception", "claim-expired", "another worker may have this run by now")
            else:
                held.renewed_at_s = asked_at_s
                left_s = asked_at_s + self._lease_s * _FENCE - asyncio.get_running_loop().time()
                held.lifeline.extend(max(0.0, left_s))
            if renewal.overdue:
                held.abort.request("exception", "deadline-exceeded", "the task's deadline has passed")
            if renewal.cancel:
                held.abort.request("cancelled", "cancelled", cancelled_by(renewal.cancel))

    def _fence(self, now_s: float) -> None:
        for held in self._held.values():
            if now_s - held.renewed_at_s > self._lease_s * _FENCE:
                held.abort.request("exception", "claim-expired", "the claim could not be renewed")
