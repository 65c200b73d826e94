"""Script details: all that a script declares, besides its schema, which is a document of its own."""

from __future__ import annotations

from engine.plugin import Prepared
from worker.api.documents import Document
from worker.config.script_document import script_details


class RateLimitDocument(Document):
    count: int
    per_s: float


class RetentionDocument(Document):
    """Null: as the deployment's settings say."""

    age_s: float | None
    count: int | None


class LimitsDocument(Document):
    payload_bytes: int
    log_bytes: int
    artifact_count: int
    artifact_bytes: int
    artifact_total_bytes: int


class ScriptDetails(Document):
    """`env` has the names of the variables and no values. Null: no limit."""

    exit_codes: str
    max_run_time_s: float | None
    kill_grace_s: float
    retry_on: list[str]
    retry_delay_s: float
    concurrency: int | None
    rate_limit: RateLimitDocument | None
    retention: RetentionDocument
    allowed_scopes: list[str]
    env: list[str]
    limits: LimitsDocument
    plugins: list[str]


def details_of(prepared: Prepared) -> ScriptDetails:
    return ScriptDetails.model_validate(script_details(prepared))
