"""Bodies of the endpoints of policy: versions, proposals, differences, simulations."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from middleplatform.web.bodies import ProblemBody

__all__ = [
    "CommentBody", "DifferenceBody", "FilesBody", "PolicyBody", "ProposalBody", "ProposalDraft", "ProposalsBody",
    "PublishedBody", "ReasonBody", "RejectionBody", "RollbackBody", "SimulationBody", "SimulationDraft",
    "SimulationStatus", "Text", "VersionBody", "VersionsBody", "WeighedBody",
]  # fmt: skip

_SOUND = r"^[^\x00]*$"
Text = Annotated[str, Field(max_length=2_000, pattern=_SOUND)]
"""Words of a person."""
Said = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]
"""Words of a person; not blank."""
_FileName = Annotated[str, Field(max_length=255, pattern=r"^[^/\\\x00]+\.ya?ml$")]
_FileText = Annotated[str, Field(max_length=4_000_000, pattern=_SOUND)]
Files = Annotated[
    dict[_FileName, _FileText],
    Field(min_length=1, max_length=256, description="A bundle's YAML files: text by name."),
]
Next = Annotated[int | None, Field(description="`after` of the next page; null on the last.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


# --- what is sent -------------------------------------------------------------------------------------------------


class ProposalDraft(_Body):
    """Files to propose, and why."""

    files: Files
    reason: Said


class CommentBody(_Body):
    """What to say to it."""

    comment: Text = ""


class RejectionBody(_Body):
    """Why not."""

    comment: Said


class ReasonBody(_Body):
    """Why."""

    reason: Said


class SimulationDraft(_Body):
    """What to judge audited questions by: one of the three; and which questions."""

    proposal: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    files: Files | None = None
    window: Annotated[
        str, Field(max_length=80, description="30d, or DATE..DATE, both days included; UTC.")
    ] = "30d"
    now: Annotated[
        str, Field(max_length=40, description="Judge all at this moment, not each at its own.")
    ] = ""


# --- what is told -------------------------------------------------------------------------------------------------


class PolicyBody(_Body):
    """The policy in force."""

    number: Annotated[int, Field(description="Of the version; 0 while none was published.")]
    name: str
    label: str
    digest: str
    catalog_digest: str


class VersionBody(_Body):
    """A published version."""

    number: int
    kind: Literal["publish", "rollback"]
    proposal: int
    content: str
    digest: str
    bundle: str
    label: str
    predecessor: int
    restores: int
    published_by: str
    at: str
    audit_index: int


class VersionsBody(_Body):
    """A page of versions, oldest first."""

    versions: list[VersionBody]
    next: Next


class FilesBody(_Body):
    """A bundle's files as they were written."""

    content: Annotated[str, Field(description="SHA-256 over names and texts.")]
    files: dict[str, str]


class ProposalBody(_Body):
    """A proposal."""

    number: int
    kind: Literal["publish", "rollback"]
    state: Literal["proposed", "approved", "rejected", "withdrawn", "published"]
    author: str
    department: str
    reason: str
    content: str
    digest: str
    bundle: str
    label: str
    base: int
    restores: int
    at: str
    closed_by: str
    closed_at: str | None
    comment: str


class ProposalsBody(_Body):
    """A page of proposals, oldest first."""

    proposals: list[ProposalBody]
    next: Next


class ChangeBody(_Body):
    """Cells that change alike, or one setting."""

    direction: Literal["loosens", "tightens", "both", "other"]
    sentence: str
    where: str
    before: str
    after: str
    owners: list[str]
    cells: int
    dataset: str
    columns: list[str]
    purposes: list[str]
    setting: list[str]


class DifferenceBody(_Body):
    """What the change from one bundle to another does; ``changes`` is a page of it."""

    old: str
    new: str
    summary: str
    loosened: int
    tightened: int
    owners: list[str]
    size: int
    changes: list[ChangeBody]
    next: Next


class NeededBody(_Body):
    """Whose approval."""

    second_officer: bool
    owners: list[str]


class ApprovalBody(_Body):
    """One person's yes."""

    person: str
    department: str
    capacity: Literal["second_officer", "data_owner"]
    comment: str
    at: str


class WeighedBody(_Body):
    """A proposal against what is in force now."""

    proposal: ProposalBody
    difference: DifferenceBody
    required: NeededBody
    missing: NeededBody
    approvals: list[ApprovalBody]


class PublishedBody(_Body):
    """A version that came into force."""

    version: int


class RollbackBody(_Body):
    """What a rollback made; the version is null while approvals are missing."""

    proposal: int
    version: int | None


class TallyBody(_Body):
    """How many questions changed, by kind."""

    name: str
    counts: dict[str, int]


class OutcomeBody(_Body):
    """One question whose verdict changes."""

    index: int
    query_id: str
    subject: str
    at: str
    ended: str
    kind: str
    names: list[str]
    datasets: list[str]
    before: dict[str, str]
    after: dict[str, str]


class SimulationBody(_Body):
    """What came of judging again; ``changes`` is a page of it."""

    current: str
    candidate: str
    questions: int
    judged: int
    counts: dict[str, int]
    not_judged: dict[str, int]
    by_rule: list[TallyBody]
    by_analyst: list[TallyBody]
    by_dataset: list[TallyBody]
    size: int
    changes: list[OutcomeBody]
    next: Next


class SimulationStatus(_Body):
    """How far a simulation is."""

    id: str
    status: Literal["running", "finished", "failed", "canceled"]
    done: int
    total: int
    problem: ProblemBody | None = None
    result: SimulationBody | None = None
