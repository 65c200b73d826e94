"""Read: a schedule from what somebody wrote, in a file or over the API. All that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from engine.errors import DeclarationError, PayloadError, Problem
from engine.schema import Schema
from engine.schema.payload import check_value
from engine.schema.shown import MASK, pointer, quoted, suggestion
from engine.script.load import NAME
from engine.script.quantities import parse_duration
from worker.config import Catalog
from worker.model.access import Principal
from worker.model.schedule import CAUGHT_UP, Schedule
from worker.model.target import NotATarget, parse_target
from worker.schedules.cron import Cron, CronError
from worker.schedules.decide import Timing
from worker.schedules.declaration import SCHEDULE_SCHEMA
from worker.schedules.target import Target

Locate = Callable[[str, str], Problem]
# `schedules/presets` is a route: nobody could read a schedule of that name.
_TAKEN = frozenset({"presets"})
_MOST_JITTER_S = 86_400.0


def read_schedule(
    name: str,
    value: Any,
    *,
    catalog: Catalog,
    owner: Principal,
    locate: Locate = lambda pointer, message: Problem(message, pointer),
    file: str | None = None,
    workflows: Mapping[str, Target] | None = None,
) -> Schedule:
    """The schedule that a JSON value declares. `workflows`: those that there are, or the one that it names.

    Raises DeclarationError with every problem, its place as `locate` has it: pointer and message -> Problem.
    """
    reader = _Reader(catalog, workflows or {})
    fields = reader.fields(name, value)
    if reader.problems:
        raise DeclarationError(locate(place, message) for place, message in reader.problems)
    return Schedule(name=name, owner=owner, file=file, **fields)


@lru_cache(maxsize=1)
def _declaration() -> Schema:
    return Schema.compile(SCHEDULE_SCHEMA, owner="schedule")


def _masked(value: Any, shown: Any, place: str = "") -> Iterator[str]:
    """Where a secret has the very text by which secrets are shown: it was copied from what was shown."""
    if isinstance(value, dict) and isinstance(shown, dict):
        for key in value.keys() & shown.keys():
            yield from _masked(value[key], shown[key], place + pointer((key,)))
    elif isinstance(value, list) and isinstance(shown, list):
        for number, (one, other) in enumerate(zip(value, shown, strict=False)):
            yield from _masked(one, other, f"{place}/{number}")
    elif value == shown == MASK:
        yield place


def time_zone(name: str) -> ZoneInfo:
    """Raises ValueError for a name that is none, however it looks: it becomes a path."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {quoted(name)}; they have names such as Europe/Berlin") from None


class _Reader:
    def __init__(self, catalog: Catalog, workflows: Mapping[str, Target]) -> None:
        self._catalog = catalog
        self._workflows = workflows
        self.problems: list[tuple[str, str]] = []

    def fields(self, name: str, value: Any) -> dict[str, Any]:
        if not NAME.fullmatch(name):
            rule = "lower-case letters, digits and -, at most 63 of them, a letter or digit in front"
            self._problem("", f"the name {quoted(name)} is not allowed: {rule}")
        elif name in _TAKEN:
            self._problem("", f"the name {quoted(name)} is taken by a route of the API")
        wrong = _declaration().check(value)
        self.problems += [(problem.pointer, problem.message) for problem in wrong]
        if not isinstance(value, dict):
            return {}
        right = {
            key: member
            for key, member in value.items()
            if not any(problem.pointer == f"/{key}" or problem.pointer.startswith(f"/{key}/") for problem in wrong)
        }
        zone = self._zone(right.get("timezone", "UTC"))
        fields = {
            "cron": self._cron(right.get("cronExpression")),
            "timezone": right.get("timezone", "UTC"),
            "enabled": right.get("enabled", True),
            "overlap": right.get("overlap", "skip"),
            "catch_up": right.get("catchUp", "none"),
            "catch_up_limit": right.get("catchUpLimit", CAUGHT_UP),
            "jitter_s": self._jitter(right.get("jitter", 0)),
            "start_at": self._moment("startAt", right.get("startAt"), zone),
            "end_at": self._moment("endAt", right.get("endAt"), zone),
            "description": right.get("description", ""),
            "tags": tuple(right.get("tags", ())),
            "target": self._target(right.get("target"), "workflow" in value),
            **self._what(right, value),
        }
        self._reachable(fields, zone)
        for tag in fields["tags"]:
            if not tag.isprintable():
                self._problem("/tags", "a tag has to be printable")
        return fields

    def _problem(self, place: str, message: str) -> None:
        self.problems.append((place, message))

    def _what(self, right: Mapping[str, Any], value: Mapping[str, Any]) -> dict[str, Any]:
        """Script or workflow, with its payload."""
        script, workflow, payload = right.get("script"), right.get("workflow"), right.get("payload", {})
        if ("script" in value) == ("workflow" in value):
            self._problem("", "name either a script or a workflow")
        elif workflow is not None:
            if (target := self._workflows.get(workflow)) is None:
                near = suggestion(workflow, self._workflows)
                self._problem("/workflow", f"there is no workflow {quoted(workflow)}{near}")
            elif "payload" in right or "payload" not in value:
                self._payload(payload, target.schema, target.payload_bytes)
        elif script is not None:
            if (prepared := self._catalog.get(script)) is None:
                near = suggestion(script, self._catalog.scripts)
                self._problem("/script", f"there is no script {quoted(script)}{near}")
            elif "payload" in right or "payload" not in value:
                self._payload(payload, prepared.schema, prepared.script.limits.payload_bytes)
        return {"script": script, "workflow": workflow, "payload": payload}

    def _target(self, asked: str | list[str] | None, of_workflow: bool) -> str | None:
        if asked is None:
            return None
        if of_workflow:
            self._problem("/target", "the steps of a workflow run anywhere")
            return None
        try:
            target = parse_target([asked] if isinstance(asked, str) else asked)
        except NotATarget as error:
            self._problem("/target", str(error))
            return None
        return None if target is None else str(target)

    def _payload(self, payload: Any, schema: Schema, max_bytes: int) -> None:
        try:
            check_value(payload, max_bytes=max_bytes)
            violations = schema.check(payload)
        except PayloadError as error:
            violations = error.problems
        self.problems += [(f"/payload{problem.pointer}", problem.message) for problem in violations]
        if schema.has_secrets and not violations:
            for place in _masked(payload, schema.redact(payload)):
                self._problem(f"/payload{place}", f"a secret is shown as {MASK}: give the secret itself")

    def _cron(self, text: str | None) -> str:
        try:
            if text is not None:
                Cron.parse(text)
        except CronError as error:
            for problem in error.problems:
                self._problem("/cronExpression", problem)
        return text or ""

    def _zone(self, name: str) -> ZoneInfo | None:
        try:
            return time_zone(name)
        except ValueError as error:
            self._problem("/timezone", str(error))
            return None

    def _jitter(self, value: float | str) -> float:
        try:
            jitter_s = parse_duration(value)
        except ValueError as error:
            self._problem("/jitter", str(error))
            return 0.0
        if jitter_s > _MOST_JITTER_S:
            self._problem("/jitter", "expected at most a day")
        return jitter_s

    def _moment(self, key: str, text: str | None, zone: ZoneInfo | None) -> int | None:
        if text is None or zone is None:
            return None
        try:
            found = datetime.fromisoformat(text)
            ms = round((found.replace(tzinfo=zone) if found.tzinfo is None else found).timestamp() * 1000)
        except (ValueError, OverflowError):
            self._problem(f"/{key}", f"expected an ISO 8601 time such as 2026-12-24T18:00Z, found {quoted(text)}")
            return None
        if ms < 0:
            self._problem(f"/{key}", "expected a time after 1970")
        return ms

    def _reachable(self, fields: Mapping[str, Any], zone: ZoneInfo | None) -> None:
        """A window without a slot is a mistake of whoever wrote it."""
        if self.problems or zone is None or fields["end_at"] is None:
            return
        start = fields["start_at"] or 0
        if fields["end_at"] < start:
            self._problem("/endAt", "it is before startAt")
        elif not Timing(Cron.parse(fields["cron"]), zone, fields["start_at"], fields["end_at"]).next(start - 1):
            self._problem("/endAt", "no time of the cron expression is until then")


def written(schedule: Schedule) -> dict[str, Any]:
    """What somebody would write to have it: the counterpart of `read_schedule`, with its payload unmasked."""
    value: dict[str, Any] = {
        "cronExpression": schedule.cron,
        "timezone": schedule.timezone,
        "payload": schedule.payload or {},
        "enabled": schedule.enabled,
        "overlap": schedule.overlap,
        "catchUp": schedule.catch_up,
        "catchUpLimit": schedule.catch_up_limit,
        "jitter": schedule.jitter_s,
        "description": schedule.description,
        "tags": list(schedule.tags),
    }
    named = {"script": schedule.script, "workflow": schedule.workflow}
    window = {"startAt": schedule.start_at, "endAt": schedule.end_at}
    return {
        **value,
        **{key: name for key, name in named.items() if name is not None},
        **({} if schedule.target is None else {"target": schedule.target.split(" ")}),
        **{key: datetime.fromtimestamp(ms / 1000, UTC).isoformat() for key, ms in window.items() if ms is not None},
    }
