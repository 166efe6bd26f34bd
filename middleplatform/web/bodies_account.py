"""Bodies of the endpoints of accountability: usage, figures, findings, tickets, the public page."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from middleplatform.web.bodies import NoteBody, ReceiptBody
from middleplatform.web.bodies_policy import Next, Said, Text

__all__ = [
    "AssetsBody", "FiguresBody", "FindingsBody", "InspectionBody", "NoteDraft", "OwnReceiptsBody", "ReleasesBody",
    "ReportBody", "SayingBody", "TicketAnswer", "TicketBody", "TicketDraft", "TicketExtension", "TicketsBody",
    "TransparencyBody", "UsageBody", "WrittenNoteBody",
]  # fmt: skip


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# --- usage --------------------------------------------------------------------------------------------------------


class ReleaseBody(_Body):
    """One release: who received what, when and for what."""

    index: int
    at: str
    query_id: str
    subject: str
    department: str
    recipient: str
    purpose: str
    grants: list[str]
    datasets: list[str]
    columns: list[str]
    protocol: str
    released: int
    suppressed: int
    result_digest: str


class ReleasesBody(_Body):
    """A page of releases, oldest first; `after` counts entries of the log, from 1."""

    releases: list[ReleaseBody]
    next: Next


class UsageRecordBody(_Body):
    """One release as one side keeps it."""

    role: Literal["provider", "user"]
    index: int
    at: str
    query_id: str
    subject: str
    department: str
    recipient: str
    purpose: str
    grants: list[str]
    basis: list[str]
    scenario: list[str]
    datasets: list[str]
    columns: list[str]
    protocol: str
    released: int
    suppressed: int
    result_digest: str
    answers_for_data: list[str]
    answers_for_use: str
    effect: list[str]
    storage: list[str]
    disposal: list[str]


class UsageBody(_Body):
    """A page of usage records, oldest first."""

    retention_years: int
    records: list[UsageRecordBody]
    next: Next


class NoteDraft(_Body):
    """What became of an answer at its user (art. 29); at least one of the three."""

    effect: Annotated[Text, Field(description="应用成效")] = ""
    storage: Annotated[Text, Field(description="存储情况")] = ""
    disposal: Annotated[Text, Field(description="销毁情况")] = ""


class WrittenNoteBody(NoteDraft):
    """A note that stands in the log."""

    release: int


class OwnReceiptBody(_Body):
    """One of your answers, and the proof that it is in the log."""

    index: int
    at: str
    query_id: str
    datasets: list[str]
    result_digest: str
    receipt: ReceiptBody


class OwnReceiptsBody(_Body):
    """A page of your answers, oldest first."""

    receipts: list[OwnReceiptBody]
    next: Next


# --- figures ------------------------------------------------------------------------------------------------------


class FigureBody(_Body):
    """The conduct of one provider."""

    department: str
    asked: int
    in_time: int
    late: int
    waiting: int
    overdue: int
    extended: int
    refused: int
    partly: int
    with_basis: int
    columns_asked: int
    columns_granted: int
    delivered_in_time: int
    delivered_late: int
    objections: int
    escalations: int
    tickets: int
    tickets_in_time: int
    tickets_late: int
    tickets_corrected: int
    datasets: int
    stale: list[str]
    certain: bool
    in_time_percent: int | None
    refused_percent: int | None
    with_basis_percent: int | None
    coverage_percent: int | None
    tickets_in_time_percent: int | None
    stale_percent: int | None


class FiguresBody(_Body):
    """The conduct of the providers that you answer for or watch over."""

    figures: list[FigureBody]


class FindingBody(_Body):
    """One duty that was not met."""

    side: Literal["provider", "demander", "authority"]
    department: str
    article: str
    what_en: str
    what_zh: str
    about: str
    due: str
    met_at: str
    count: int
    sanction: str


class FindingsBody(_Body):
    """A page of duties that were not met, providers first."""

    findings: list[FindingBody]
    next: Next


class CheckBody(_Body):
    """One line of the list: `good` is null where nothing can be said."""

    code: str
    what_en: str
    what_zh: str
    good: bool | None
    seen: str


class InspectionBody(_Body):
    """The checklist of an inspection."""

    checks: list[CheckBody]


class AssetBody(_Body):
    """How a dataset stands, by the tickets about it."""

    dataset: str
    state: Literal["undisputed", "disputed", "corrected"]
    pending: list[str]
    corrected_at: str | None


class AssetsBody(_Body):
    """How datasets stand."""

    assets: list[AssetBody]


class TransparencyBody(_Body):
    """What the public may know of a month; counts below ten are told as such."""

    format: str
    month: str
    small: int
    totals: dict[str, str]
    purposes: dict[str, str]
    asking: dict[str, str]
    providing: dict[str, str]
    rules: dict[str, str]
    names: dict[str, NoteBody]


class ReportBody(BaseModel):
    """A signed report of a decision; docs/spec/accountability.md describes it."""

    model_config = ConfigDict(extra="allow")


# --- tickets ------------------------------------------------------------------------------------------------------

_Name = Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")]


class TicketDraft(_Body):
    """What is wrong with which data."""

    kind: Literal["objection", "correction"]
    dataset: Annotated[_Name, Field(description="department.table")] = ""
    column: Annotated[_Name, Field(description="department.table.column")] = ""
    release: Annotated[
        int | None, Field(ge=0, le=2**53 - 1, description="Log entry of the answer it showed in.")
    ] = None
    text: Said


class TicketExtension(_Body):
    """How much longer, and why."""

    days: Annotated[int, Field(ge=1, le=1000, description="Working days.")]
    reason: Said


class TicketAnswer(_Body):
    """What was verified and corrected, or why nothing is."""

    outcome: Literal["corrected", "partly", "unfounded"]
    text: Said
    basis: Said


class SayingBody(_Body):
    """What to say to it."""

    text: Text = ""


class TicketBody(_Body):
    """A ticket, and what became of it."""

    number: str
    kind: Literal["objection", "correction"]
    phase: Literal["open", "taken", "answered", "closed", "withdrawn"]
    dataset: str
    column: str
    release: int | None
    provider: str
    opened_by: str
    department: str
    opened_at: str
    text: str
    taken_by: str
    outcome: str
    answer: str
    basis: str
    answered_by: str
    answered_at: str | None
    due: str
    calendar_known: bool
    article: str
    overdue: bool
    reopened: int


class TicketsBody(_Body):
    """A page of the tickets that you may see, oldest first."""

    tickets: list[TicketBody]
    next: Next
