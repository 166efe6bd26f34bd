"""Bodies of the endpoints of applications and their grants (decree 809)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from middleplatform.web.bodies_policy import Said, Text

__all__ = [
    "AnswerGiven", "ApplicationBody", "ApplicationsBody", "DepartmentBody", "ExtensionBody", "HistoryBody",
    "LawfulBody", "MissingBody", "ObjectionBody", "WhyBody", "Wish",
]  # fmt: skip

_Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
_Region = Annotated[str, Field(pattern=r"^([0-9]{6}|\*)$")]
_Operation = Literal["join", "filter", "group", "aggregate", "count"]
_Moment = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2}))?$",
        description="A day, as it begins in China, or a time with its offset.",
    ),
]
_Columns = Annotated[list[_Name], Field(min_length=1, max_length=500)]
_Operations = Annotated[list[_Operation], Field(min_length=1, max_length=5)]
_Regions = Annotated[list[_Region], Field(min_length=1, max_length=500)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# --- what is sent -------------------------------------------------------------------------------------------------


class Wish(_Body):
    """What is applied for (art. 20); an emergency states ``hours``, all others ``ends``."""

    lane: Literal["ordinary", "emergency"] = "ordinary"
    basis: Annotated[Text, Field(description="使用依据: the law and the duty it rests on.")] = ""
    scenario: Annotated[Text, Field(description="使用场景: what it is used for.")] = ""
    scope: Annotated[Text, Field(description="使用范围, in words.")] = ""
    purpose: Annotated[Text, Field(description="使用目的: one of the policy's purposes.")] = ""
    columns: Annotated[_Columns, Field(description="dataset.column, or dataset.* for all.")]
    operations: _Operations
    regions: _Regions | None = None
    subjects: Annotated[
        list[_Name] | None, Field(min_length=1, max_length=500, description="Logins; your own unless said.")
    ] = None  # fmt: skip
    everyone: Annotated[bool, Field(description="For the whole department.")] = False
    starts: _Moment | None = None
    ends: _Moment | None = None
    hours: Annotated[int | None, Field(ge=1, le=720)] = None


class WhyBody(_Body):
    """Why, or what was found."""

    reason: Said


class LawfulBody(_Body):
    """Why, and the law it rests on, where one is needed."""

    reason: Said
    basis: Text = ""


class MissingBody(_Body):
    """All that is missing: there is one list only (art. 21)."""

    missing: Annotated[list[Said], Field(min_length=1, max_length=100)]


class DepartmentBody(_Body):
    """Whose request for an extension is consented to."""

    department: _Name


class ExtensionBody(_Body):
    """How much longer, and why."""

    days: Annotated[int, Field(ge=1, le=1000, description="Working days.")]
    reason: Said


class ObjectionBody(_Body):
    """Which provider is objected to, and why."""

    department: _Name
    reason: Said


class AnswerGiven(_Body):
    """What your department grants of its own columns; all that is applied for where nothing is said."""

    grant: Annotated[Literal["all", "part", "nothing"], Field(description="How much of it.")]
    columns: _Columns | None = None
    operations: _Operations | None = None
    regions: _Regions | None = None
    ends: _Moment | None = None
    reason: Annotated[Text, Field(description="Why not all of it.")] = ""
    basis: Annotated[Text, Field(description="The law that says so.")] = ""


# --- what is told -------------------------------------------------------------------------------------------------


class WantedColumnBody(_Body):
    """A column that is applied for."""

    name: str
    owner: str
    unconditional: bool


class DisputeBody(_Body):
    """Where a dispute lies, and with whom."""

    step: str
    of: Annotated[str, Field(alias="with")]


class ReviewBody(_Body):
    """What the review of an emergency found."""

    by: str
    finding: str


class GivenBody(_Body):
    """What a provider grants."""

    columns: list[str]
    operations: list[str]
    regions: list[str]
    ends: str
    reason: str
    basis: str


class AskedMoreBody(_Body):
    """An extension: working days that were asked for, and those that were given."""

    asked: int
    reason: str
    given: int


class ProviderBody(_Body):
    """One provider's part."""

    department: str
    columns: list[str]
    outcome: str
    answer: GivenBody | None
    answered_by: str
    answered_at: str | None
    extension: AskedMoreBody
    delivered_at: str | None
    approved_by: str


class TermBody(_Body):
    """A deadline, with its article."""

    name: str
    name_en: str
    name_zh: str
    article: str
    department: str
    due: str
    calendar_known: bool
    met_at: str | None
    overdue: bool


class ApplicationBody(_Body):
    """An application, and what became of it."""

    number: str
    phase: str
    lane: Literal["ordinary", "emergency"]
    department: str
    applicant: str
    subjects: list[str]
    signed_by: str
    basis: str
    scenario: str
    scope: str
    mode: str
    purpose: str
    columns: list[WantedColumnBody]
    operations: list[str]
    regions: list[str]
    starts: str
    ends: str
    submitted_at: str
    accepted_at: str | None
    asked_for: list[str]
    not_stated: list[str]
    dispute: DisputeBody | None
    approved_by_officer: str
    review: ReviewBody | None
    review_open: bool
    providers: list[ProviderBody]
    terms: list[TermBody]
    grants: Annotated[list[dict[str, object]], Field(description="As a policy would write them.")]


class ApplicationsBody(_Body):
    """A page of applications that you may see, oldest first."""

    applications: list[ApplicationBody]
    next: Annotated[int | None, Field(description="`after` of the next page; null on the last.")]


# --- what happened ------------------------------------------------------------------------------------------------


class DeadlineBody(_Body):
    """A deadline of the time line: `working_days_left` is below 0 by what it is, or was met, late."""

    name: str
    name_en: str
    name_zh: str
    article: str
    department: str
    due: str
    working_days_left: int
    calendar_known: bool


class HappenedBody(_Body):
    """One event with the article it rests on, and the deadlines that it began and met."""

    act: str
    at: str
    by: str
    of: str
    department: str
    article_en: str
    article_zh: str
    reason: str
    basis: str
    missing: list[str]
    days: int
    step: str
    role: str
    began: list[DeadlineBody]
    met: list[DeadlineBody]


class HistoryBody(_Body):
    """The time line of an application, oldest first, and what is to be done."""

    number: str
    events: list[HappenedBody]
    ahead: list[DeadlineBody]
    ends: str
