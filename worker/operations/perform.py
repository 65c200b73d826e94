"""Perform: one delivery, from the claim to the recorded outcome."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from engine.errors import PayloadError, Problem
from engine.execute import Resources, execute
from engine.log import LogWriter
from engine.outcome import Outcome
from engine.plugin import Prepared
from engine.process.abort import Abort
from engine.process.lifeline import Lifeline
from engine.schema import Payload, dump_payload
from engine.script import Script
from worker.broker import BrokerAway, Delivery, Publisher
from worker.model.answers import Claimed, Refused, Resolved, ResolveOutcome
from worker.model.status import Status
from worker.model.target import worker_of
from worker.model.task import ArtifactRecord, NewTask, Resolution, RunLimits, ShortLog
from worker.operations.inputs import furnisher
from worker.operations.leases import Leases, cancelled_by
from worker.operations.moments import moment_ms
from worker.operations.outcomes import spool_outcome
from worker.operations.persist import until_stored
from worker.operations.registered_scripts import RegisteredScripts, Standing
from worker.operations.results import result_of
from worker.operations.unrecorded import MarkedStore
from worker.store import Records, StoreUnavailable
from worker.store.files import Files
from worker.store.live_log import LiveLog
from worker.store.live_log_entry import Entry
from worker.store.live_log_writer import LiveLogWriter

_logger = structlog.get_logger("penstock.worker")


# The command is not to blame for these, so another run may follow, as often as the script's `retries` say.
RETRIED = frozenset({"claim-expired", "worker-shutdown", "resource-unavailable"})
# The trigger of a task whose message was enqueued without us: nobody was asked who sent it.
UNASKED = "celery"
_LONGEST_DELAY_S = 300.0
# What the worker itself has to say of a run is rarely longer. A file and its folder cost as much as a short command.
_SHORT_BYTES = 1024


class Performer(Struct, frozen=True):
    """What a worker needs to perform tasks. `spool` is a folder for logs that are still being written."""

    worker: str
    scripts: Mapping[str, Prepared]
    registered: RegisteredScripts
    records: Records
    publisher: Publisher
    live_log: LiveLog
    files: Files
    leases: Leases
    resources: Resources
    spool: Path
    lease_s: float
    give_up: asyncio.Event
    """Set when the worker ends and waits for the store no longer."""
    on_step_ended: Callable[[], None] = lambda: None
    """Called when the end of a task is recorded that is a step of a workflow."""


async def perform(delivery: Delivery, performer: Performer, on_ended: Callable[[], None] | None = None) -> None:
    """Claim, run, keep, record. Returns when the delivery may be acknowledged.

    `on_ended` is called when the run is over and its end has yet to be recorded: the next claim and that go to the
    store together.

    A run that another worker holds, or that has ended, is left alone. Raises GivenUp when the worker ends while the
    store is away, and else only for faults of ours; then the delivery may not be acknowledged.
    """
    # Together, before anything is waited for: what a worker says is of this version.
    prepared, standing = performer.scripts[delivery.script], performer.registered.standing(delivery.script)
    payload: Payload | bytes | PayloadError = b""
    new = None
    if not delivery.hint:
        payload, new = enqueued(delivery, prepared)
    claimed, claimed_at_s = await _claim(delivery.task_id, new, prepared.script, performer)
    if not isinstance(claimed, Claimed):
        _logger.info("not claimed", task=delivery.task_id, script=delivery.script, why=claimed.refusal.value)
        return
    if delivery.hint:
        payload = claimed.payload
    abort, claim = Abort(), claimed.claim
    stored = MarkedStore(performer.files, performer.spool, claim.task_id, claim.run)
    live = performer.live_log.writer(claim.task_id, claim.run)
    if worker_of(delivery.queue):
        live.go_live()  # who asked this very worker is elsewhere, as a rule, and reads the log there
    lifeline = performer.leases.hold(claim, abort, claimed_at_s)
    try:
        outcome, short = await _run(performer, prepared, standing, claimed, payload, stored, abort, lifeline, live)
        end = resolution(outcome, short)
        if claimed.workflow and outcome.status == "completed":
            end = replace(end, result=await asyncio.to_thread(result_of, stored.files, end))
        if on_ended:
            on_ended()
        whole = await live.close(recorded=short is not None)
        recorded = await _record(performer, prepared, claimed, outcome, end, stored, whole)
    finally:
        performer.leases.release(claim)
    if claimed.workflow:
        performer.on_step_ended()
    _logger.info(
        "run ended",
        task=claim.task_id,
        script=delivery.script,
        run=claim.run,
        status=outcome.status,
        reason=outcome.reason,
        exit=str(outcome.exit) if outcome.exit else None,
        ms=round(outcome.duration_s * 1000),
        recorded=recorded.outcome.value,
    )


async def _claim(
    task_id: str, new: NewTask | None, script: Script, performer: Performer
) -> tuple[Claimed | Refused, float]:
    """The store's answer, and when it was asked for, by the loop's clock."""
    loop = asyncio.get_running_loop()
    claim_id = os.urandom(6).hex()
    asked_at_s = loop.time()

    async def ask() -> Claimed | Refused:
        nonlocal asked_at_s
        asked_at_s = loop.time()
        return await performer.records.claim(
            task_id,
            performer.worker,
            performer.lease_s,
            new,
            claim_id=claim_id,
            limits=limits_of(script),
            of_script=script.name,
        )

    return await until_stored(ask, "claim", performer.give_up), asked_at_s


def retry(script: Script, claimed: Claimed, outcome: Outcome) -> tuple[bool, float]:
    """Whether another run follows, and after how many seconds.

    After a failure of the infrastructure at once; after one that the script names in `retryOn` with a delay that
    doubles each time. Never more often than the script's `retries`.
    """
    if claimed.retries <= 0:
        return False, 0.0
    if outcome.reason in RETRIED:
        return True, 0.0
    if outcome.reason in script.retry_on:
        return True, min(_LONGEST_DELAY_S, script.retry_delay_s * 2**claimed.claim.run)
    return False, 0.0


def limits_of(script: Script) -> RunLimits | None:
    if script.concurrency is None and script.rate_limit is None:
        return None
    count, per_s = script.rate_limit or (None, None)
    return RunLimits(script.concurrency, count, per_s)


def _fenced(outcome: Outcome, lapsed: bool) -> Outcome:
    """What the supervisor ended because we were frozen or cut off has not failed by itself."""
    ended = outcome.exit is None or outcome.exit.signal == signal.SIGKILL
    if lapsed and ended and outcome.reason == "internal-error":
        message = "the claim could not be renewed in time"
        return replace(outcome, status="exception", reason="claim-expired", message=message)
    return outcome


async def _record(
    performer: Performer,
    prepared: Prepared,
    claimed: Claimed,
    outcome: Outcome,
    end: Resolution,
    stored: MarkedStore,
    live: Entry | None,
) -> Resolved:
    """Record the end of the run. While the store is away it waits on the disk too, should we die."""
    claim = claimed.claim
    again, delay_s = retry(prepared.script, claimed, outcome)
    limited = limits_of(prepared.script) is not None
    spooled: Path | None = None

    async def resolve() -> Resolved:
        nonlocal spooled
        try:
            return await performer.records.resolve(
                claim, end, next_run=again, delay_s=delay_s, live=live, limited=limited
            )
        except StoreUnavailable:
            if spooled is None:
                try:
                    spooled = spool_outcome(performer.spool, claim, end, next_run=again)
                except OSError as error:
                    _logger.warning("cannot keep an outcome on the disk", task=claim.task_id, error=str(error))
            raise

    resolved = await until_stored(resolve, "record the outcome", performer.give_up)
    if spooled:
        spooled.unlink(missing_ok=True)  # noqa: ASYNC240 - one small file, after an outage
    for hint in resolved.publish:
        try:
            await performer.publisher.publish(hint.script, hint.task_id, hint.queue, hint.priority)
        except BrokerAway:
            break  # a sweep publishes them
    if stored.marked:
        # When the run was given its end by others, nothing that we stored for it may be taken for its result.
        named = bool(end.artifacts) and resolved.outcome is not ResolveOutcome.STALE
        await asyncio.to_thread(stored.settle, named=named)
    return resolved


async def _run(
    performer: Performer,
    prepared: Prepared,
    standing: Standing | None,
    claimed: Claimed,
    payload: Payload | bytes | PayloadError,
    stored: MarkedStore,
    abort: Abort,
    lifeline: Lifeline,
    live: LiveLogWriter,
) -> tuple[Outcome, ShortLog | None]:
    """Execute under the claim, and keep artifacts and log; the log that is returned goes with the record.

    A fault of ours is an outcome too, and is logged.
    """
    claim = claimed.claim
    try:
        if claimed.cancel:
            abort.request("cancelled", "cancelled", cancelled_by(claimed.cancel))
        if not prepared.script.enabled:
            gone = "was removed" if standing and standing.removed else "is disabled"
            abort.request("exception", "script-disabled", f"the script {prepared.script.name} {gone}")
        elif standing and not standing.verdict.admitted:
            abort.request("exception", "not-admitted", f"the worker {performer.worker} does not run it: {standing}")
        elif prepared.script.allowed_scopes and claimed.trigger == UNASKED:
            abort.request("exception", "not-allowed", _unasked(prepared.script))

        def lasts() -> None:
            """Of most runs one line is enough: that of their end."""
            _logger.info("run started", task=claim.task_id, script=claimed.script, run=claim.run)
            live.go_live()

        path = f"{performer.spool}/{claim.task_id}-{claim.run}-{os.urandom(4).hex()}.txt"
        log = LogWriter(
            path, max_bytes=prepared.script.limits.log_bytes, tap=live.append, keep_short=True, on_live=lasts
        )
        if standing:
            log.say(str(standing))
        outcome = await execute(
            prepared,
            payload,
            task_id=claim.task_id,
            run_id=claim.run,
            log=log,
            store=stored,
            abort=abort,
            resources=performer.resources,
            lifeline=lifeline,
            furnish=await furnisher(claimed.workflow, performer.records, performer.files, prepared.script, abort),
        )
        # Now, because the store may come back and renew the claim while the log is on its way.
        outcome = _fenced(outcome, performer.leases.lapsed(claim))
        outcome, short = _kept(stored, log, outcome)
        if outcome.artifacts:
            try:
                await asyncio.to_thread(stored.files.commit)
            except OSError as error:
                outcome = replace(outcome, artifacts=())
                if outcome.status == "completed":
                    why = _why("the artifacts", error)
                    outcome = replace(outcome, status="exception", reason="artifact-error", message=why)
        return outcome, short
    except Exception as error:
        _logger.exception("a run failed by a fault of the worker", task=claim.task_id, run=claim.run)
        return Outcome("exception", "internal-error", f"the worker failed: {type(error).__name__}"), None


def _unasked(script: Script) -> str:
    scopes = ", ".join(script.allowed_scopes)
    return f"the script {script.name} asks for a scope ({scopes}), and a message enqueued without Penstock has none"


def _kept(stored: MarkedStore, log: LogWriter, outcome: Outcome) -> tuple[Outcome, ShortLog | None]:
    """Keep the log: a short one of the worker's own words goes with the record. A run whose log is lost is no good."""
    if log.text is not None and log.index is not None and len(log.text) <= _SHORT_BYTES:
        return outcome, ShortLog(log.text.decode(), log.index.hex()) if log.text else None
    try:
        stored.files.keep_log(
            log.path if log.text is None else log.text,
            log.index_path if log.index is None else log.index,
        )
    except OSError as error:
        outcome = replace(outcome, status="exception", reason="internal-error", message=_why("the log", error))
    return outcome, None


def _why(what: str, error: OSError) -> str:
    return f"{what} could not be kept: {error.strerror or type(error).__name__}"


def enqueued(delivery: Delivery, prepared: Prepared) -> tuple[Payload | PayloadError, NewTask]:
    """The payload of a message that was enqueued without us, and the record to make of it."""
    found = delivery.read(prepared.script.limits.payload_bytes)
    times: dict[str, int | None] = {}
    problems = list(found.problems)
    for name, text in (("eta", delivery.eta), ("expires", delivery.expires)):
        try:
            times[name] = None if text is None else moment_ms(text, datetime.now(UTC))
        except ValueError as error:
            problems.append(Problem(f"{name} of the message: {error}"))
    payload: Payload | PayloadError
    if found.parsed is None or problems:
        payload, shown = PayloadError(problems), b"null"
    else:
        payload, shown = found.parsed, found.parsed.data
        if prepared.schema.has_secrets:
            shown = dump_payload(prepared.schema.redact(payload.value))
    return payload, NewTask(
        id=delivery.task_id,
        script=delivery.script,
        payload=found.payload,
        shown=shown.decode(),
        digest=hashlib.sha256(found.payload).hexdigest(),
        queue=delivery.queue,
        trigger=UNASKED,
        retries=prepared.script.retries,
        due_at=None if problems else times.get("eta"),
        start_by=None if problems else times.get("expires"),
    )


def resolution(outcome: Outcome, log: ShortLog | None) -> Resolution:
    """The outcome as it is recorded."""
    return Resolution(
        status=Status(outcome.status),
        reason=outcome.reason,
        message=outcome.message,
        exit_code=outcome.exit.code if outcome.exit else None,
        signal=outcome.exit.signal if outcome.exit else None,
        duration_ms=round(outcome.duration_s * 1000),
        log_bytes=outcome.log_bytes,
        log_truncated=outcome.log_truncated,
        log=log,
        artifacts=tuple(ArtifactRecord(a.name, a.size, a.sha256, a.content_type, a.public) for a in outcome.artifacts),
        dry_run=outcome.dry_run,
    )
