"""Execute: one payload through one script, from the check to the outcome. Knows no queue and no record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from engine.artifacts import ArtifactStore, Collected, collect
from engine.environment import environment
from engine.errors import NotFurnished, PayloadError, SupervisorError
from engine.facts import check_again, with_facts
from engine.log import LogWriter, Source, printable
from engine.outcome import Outcome
from engine.plugin import Host, Plugin, PluginFault, Prepared, Run, fault
from engine.process.abort import Abort, Reason
from engine.process.lifeline import Lifeline
from engine.process.run import Command, Finished, run_command
from engine.process.slots import Slots, SpawnError
from engine.process.stdin import open_stdin
from engine.program import NotAdmitted, Opened, opened
from engine.schema import Payload, dump_payload, parse_payload
from engine.script.parameters import filled
from engine.workdir import Wiped, Workdir, Workdirs

Furnish = Callable[[int], None]
# How long a line may stay unfinished before live readers see what there is of it.
_OPEN_LINE_S = 0.25
_TICK_S = 1.0
# A run that lasts longer is one that people look at, and that may outlive us: its log goes live.
_LASTS_S = 0.1


class Resources(Struct, frozen=True):
    """What the runs of one process share. `facts` are those that payloads may name, without `worker.` in front."""

    slots: Slots
    workdirs: Workdirs
    host: Host
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


async def execute(
    prepared: Prepared,
    payload: Payload | bytes | PayloadError,
    *,
    task_id: str,
    run_id: int,
    log: LogWriter,
    store: ArtifactStore,
    abort: Abort,
    resources: Resources,
    lifeline: Lifeline | None = None,
    furnish: Furnish | None = None,
) -> Outcome:
    """Run a task once and say how it ended. What the task does wrong is in the outcome and is never raised.

    `payload` is UTF-8 JSON, parsed already or not, or what was wrong with it when it could not even be read. `task_id`
    must match the pattern of ids. On return the log is closed, the work folder is gone, and so is every process of the
    run. `abort` ends the run early with the status that it names; so does the supervisor when `lifeline` is not
    extended. `furnish` puts files into the work folder, whose descriptor it gets, before the command starts; it runs in
    a thread.
    """
    loop = asyncio.get_running_loop()
    run = Run(
        script=prepared.script,
        task_id=task_id,
        run_id=run_id,
        host=resources.host,
        log=log,
        abort=abort,
        settings=prepared.settings,
        max_run_time_s=prepared.script.max_run_time_s,
        started_at_s=loop.time(),
    )
    begun_s = loop.time()
    try:
        outcome = await _perform(prepared, run, payload, store, resources, lifeline, furnish)
    except PayloadError as error:
        outcome = _malformed(prepared, run, error)
    except NotFurnished as error:
        outcome = Outcome("exception", "resource-unavailable", printable(str(error), 2000))
    except NotAdmitted as error:
        outcome = Outcome("exception", "not-admitted", printable(str(error)))
    except (SpawnError, SupervisorError, PluginFault, OSError) as error:
        outcome = _internal_error(run, error)
    return _finish(prepared, run, outcome, loop.time() - begun_s)


async def _perform(
    prepared: Prepared,
    run: Run,
    payload: Payload | bytes | PayloadError,
    store: ArtifactStore,
    resources: Resources,
    lifeline: Lifeline | None,
    furnish: Furnish | None,
) -> Outcome:
    rest, parts, stdin = _admit(prepared, payload, resources.facts)
    env = environment(prepared.script, rest, run.task_id, run.run_id)
    run.env.update(env)
    for plugin in prepared.plugins:
        try:
            plugin.before(run, parts.get(f"plugin {plugin.name}", {}))
        except Exception as error:
            raise fault(plugin, error) from error
    if run.abort.reason:
        return _aborted(run.abort.reason, None)
    workdir = resources.workdirs.take()
    untouched = False
    try:
        if furnish:
            await asyncio.to_thread(furnish, workdir.fd)
            if run.abort.reason:
                return _aborted(run.abort.reason, None)
        finished = await _run_command(prepared, run, workdir, stdin, resources.slots, lifeline)
        run.log.end_output()
        if finished.killed:
            run.log.say("ended what the command left running: " + printable(", ".join(finished.killed)))
        untouched = finished.clean and workdir.untouched()
        collected = Collected() if untouched else await _collect(workdir, store, prepared)
        for problem in collected.problems:
            run.log.say(f"artifact {problem.name}: {problem.message}", error=True)
    finally:
        _say_leftover(await resources.workdirs.give_back(workdir, untouched=untouched), run)
    outcome = _judge(prepared, run, finished, collected)
    return replace(outcome, artifacts=collected.artifacts) if collected.artifacts else outcome


def _admit(
    prepared: Prepared, payload: Payload | bytes | PayloadError, facts: Mapping[str, str]
) -> tuple[Any, Mapping[str, Mapping[str, Any]], bytes]:
    """Parse and check; the command's part of the payload, the plugins' parts, and stdin. Raises PayloadError.

    Facts are in stdin only.
    """
    if isinstance(payload, PayloadError):
        raise payload
    if isinstance(payload, bytes):
        payload = Payload.of(parse_payload(payload, max_bytes=prepared.script.limits.payload_bytes))
    if (whole := filled(prepared.script.defaults, payload.value)) is not payload.value:
        payload = Payload.of(whole)
    violations = prepared.schema.check(payload.value)
    if violations:
        raise PayloadError(violations)
    rest, parts = prepared.schema.split(payload.value)
    if prepared.script.facts:
        known = with_facts(rest, facts, max_bytes=prepared.script.limits.payload_bytes)
        if known != rest:
            check_again(prepared.schema, {**payload.value, **known})
            return rest, parts, dump_payload(known)
    return rest, parts, dump_payload(rest) if parts else payload.data


async def _run_command(
    prepared: Prepared, run: Run, workdir: Workdir, stdin: bytes, slots: Slots, lifeline: Lifeline | None
) -> Finished:
    more = prepared.script.dry_run_command if run.dry_run else ()
    program = prepared.script.program
    if program is None:
        started = Opened(prepared.script.command + more, None)
        return await _run_opened(prepared, run, workdir, stdin, started, slots, lifeline)
    with ExitStack() as held:
        started = await asyncio.to_thread(held.enter_context, opened(program, str(workdir.path), more))
        return await _run_opened(prepared, run, workdir, stdin, started, slots, lifeline)


async def _run_opened(
    prepared: Prepared,
    run: Run,
    workdir: Workdir,
    stdin: bytes,
    started: Opened,
    slots: Slots,
    lifeline: Lifeline | None,
) -> Finished:
    loop = asyncio.get_running_loop()
    output = _Output(run, loop)
    timers = _Timers(prepared, run, loop)
    stdin_fd = open_stdin(stdin)
    try:
        slot = slots.acquire()
    except SupervisorError:
        os.close(stdin_fd)
        raise
    try:
        timers.start()
        command = Command(started.argv, run.env, workdir.fd, stdin_fd, started.fd)
        return await run_command(
            slot,
            command,
            on_output=output.take,
            abort=run.abort,
            grace_s=prepared.script.kill_grace_s,
            lifeline=lifeline,
        )
    finally:
        timers.stop()
        output.stop()
        os.close(stdin_fd)
        slots.release(slot)


class _Output:
    """Feeds the log, and shows live readers an unfinished line after a short time."""

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    def take(self, source: Source, block: bytes) -> None:
        self._run.last_output_at_s = self._loop.time()
        self._run.log.feed(source, block)
        if self._timer is None and self._run.log.has_open_line:
            self._timer = self._loop.call_later(_OPEN_LINE_S, self._show)

    def _show(self) -> None:
        self._timer = None
        self._run.log.show_open_lines()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()


class _Timers:
    """The time limit of a run, the ticks of its plugins, and the moment when its log goes live.

    One timer serves the run until then, because most runs are over by then.
    """

    def __init__(self, prepared: Prepared, run: Run, loop: asyncio.AbstractEventLoop) -> None:
        self._run = run
        self._loop = loop
        self._ticking = [plugin for plugin in prepared.plugins if type(plugin).tick is not Plugin.tick]
        self._handles: dict[str, asyncio.TimerHandle] = {}

    def start(self) -> None:
        run = self._run
        run.started_at_s = self._loop.time()
        self._handles["lasts"] = self._loop.call_at(run.started_at_s + _LASTS_S, self._lasts)
        if run.max_run_time_s is not None and run.max_run_time_s <= _LASTS_S:
            self._limit(run.max_run_time_s)

    def _lasts(self) -> None:
        self._run.log.go_live()
        if self._run.max_run_time_s is not None and self._run.max_run_time_s > _LASTS_S:
            self._limit(self._run.max_run_time_s)
        if self._ticking:
            self._handles["tick"] = self._loop.call_at(self._run.started_at_s + _TICK_S, self._tick)

    def _limit(self, limit_s: float) -> None:
        message = f"ran longer than {limit_s:g} s"
        self._handles["limit"] = self._loop.call_at(
            self._run.started_at_s + limit_s, self._run.abort.request, "timeout", "max-run-time", message
        )

    def _tick(self) -> None:
        for plugin in self._ticking:
            try:
                plugin.tick(self._run, self._loop.time())
            except Exception as error:  # noqa: BLE001 - a door: a plugin's hook
                self._run.abort.request("exception", "internal-error", str(fault(plugin, error)))
        self._handles["tick"] = self._loop.call_later(_TICK_S, self._tick)

    def stop(self) -> None:
        for handle in self._handles.values():
            handle.cancel()


async def _collect(workdir: Workdir, store: ArtifactStore, prepared: Prepared) -> Collected:
    limits = prepared.script.limits
    # Hashing and storing may take long.
    return await asyncio.to_thread(
        collect,
        workdir.fd,
        store,
        max_count=limits.artifact_count,
        max_bytes=limits.artifact_bytes,
        max_total_bytes=limits.artifact_total_bytes,
    )


def _say_leftover(wiped: Wiped, run: Run) -> None:
    if wiped.leftover:
        run.log.say(f"the work folder could not be removed: {printable(wiped.leftover)}", error=True)


def _judge(prepared: Prepared, run: Run, finished: Finished, collected: Collected) -> Outcome:
    """What the end of the command means. What was asked of it after its end does not count, but for a lost claim."""
    late = run.abort.reason
    reason = finished.aborted or (late if late and late.reason == "claim-expired" else None)
    if reason:
        return _aborted(reason, finished)
    verdict = prepared.script.exit_codes.verdict(finished.exit)
    outcome = Outcome(
        verdict.status,
        verdict.reason,
        "" if verdict.status == "completed" else f"the command ended with {finished.exit}",
        exit=finished.exit,
        drain=verdict.drain,
    )
    if not finished.clean:
        message = "something that the command started cannot be ended"
        return replace(outcome, status="exception", reason="internal-error", message=message)
    if collected.problems and outcome.status == "completed":
        # What the store or the disk could not do comes first: the command is not to blame then.
        problems = sorted(collected.problems, key=lambda problem: not problem.lost)
        message = "; ".join(f"{problem.name}: {problem.message}" for problem in problems[:3])
        more = len(problems) - 3
        message = f"artifact {message}" + (f"; and {more} more" if more > 0 else "")
        status = "exception" if problems[0].lost else "failed"
        return replace(outcome, status=status, reason="artifact-error", message=message)
    return outcome


def _aborted(reason: Reason, finished: Finished | None) -> Outcome:
    return Outcome(reason.status, reason.reason, reason.message, exit=finished.exit if finished else None)


def _malformed(prepared: Prepared, run: Run, error: PayloadError) -> Outcome:
    count = len(error.problems)
    run.log.say(f"the payload is malformed: {count} problem{'' if count == 1 else 's'}", error=True)
    for problem in error.problems:
        run.log.say(f"  {printable(str(problem), 2000)}", error=True)
    run.log.say("the schema of the payload is:")
    run.log.say(prepared.schema.text())
    first = printable(str(error.problems[0]), 400)
    return Outcome(
        "exception", "malformed-payload", first if count == 1 else f"{first} (and {count - 1} more problems)"
    )


def _internal_error(run: Run, error: Exception) -> Outcome:
    what = "the command could not be started: " if isinstance(error, SpawnError) else ""
    return Outcome("exception", "internal-error", printable(what + str(error)))


def _finish(prepared: Prepared, run: Run, outcome: Outcome, duration_s: float) -> Outcome:
    """Say the end in the log, close it, and tell the plugins."""
    if outcome.status != "completed":
        reason = f" ({outcome.reason})" if outcome.reason else ""
        run.log.say(f"{outcome.status}{reason}: {outcome.message}", error=True)
    summary = run.log.close()
    outcome = replace(
        outcome,
        log_bytes=summary.bytes,
        log_truncated=summary.truncated,
        duration_s=duration_s,
        dry_run=run.dry_run,
    )
    if summary.error:
        message = f"the log could not be written: {summary.error}"
        outcome = replace(outcome, status="exception", reason="internal-error", message=message)
    for plugin in prepared.plugins:
        try:
            plugin.after(run, outcome)
        except Exception as error:  # noqa: BLE001 - a door: a plugin's hook; the outcome stands
            fault(plugin, error)
    if outcome.drain:
        run.host.drain(f"the command of {run.script.name} asked for it with {outcome.exit}", fatal=True)
    return outcome
