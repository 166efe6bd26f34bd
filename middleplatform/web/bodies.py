"""The bodies of requests and responses, as OpenAPI publishes them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AnswerBody",
    "BudgetsBody",
    "CheckpointBody",
    "CodeBody",
    "ConsistencyBody",
    "EntriesBody",
    "ExplanationBody",
    "HealthBody",
    "KeyBody",
    "KeysBody",
    "MatchBody",
    "PersonBody",
    "ProblemBody",
    "PublicationBody",
    "ReceiptBody",
    "SearchBody",
    "Statement",
    "StatusBody",
    "WithdrawalBody",
]

_Code = Annotated[str, Field(min_length=1, max_length=100)]
_Optional = Annotated[str, Field(max_length=100)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Statement(_Body):
    """A question."""

    sql: Annotated[str, Field(min_length=1, description="PostgreSQL dialect; one SELECT.")]
    purpose: Annotated[_Code, Field(description="One of the bundle's purposes; mandatory.")]
    project: Annotated[_Optional, Field(description="Project that it belongs to.")] = ""
    recipient: Annotated[
        _Optional, Field(description="Department that receives the answer; your own when empty.")
    ] = ""
    strict: Annotated[bool, Field(description="Refuse instead of rewriting.")] = False
    sealed_for: Annotated[
        _Optional,
        Field(description="Id of a published key: values leave encrypted for its holder."),
    ] = ""
    noise: Annotated[
        _Optional,
        Field(description="Differential privacy: a fraction of rho, or policy; none when empty."),
    ] = ""


class SpanBody(_Body):
    """A place in the statement: character offsets, half open; line and column from 1."""

    start: int
    end: int
    line: int
    column: int


class ReasonBody(_Body):
    """Why a statement is refused."""

    rule: str
    what: str
    column: str
    owner: str
    policy_version: str
    span: SpanBody | None
    hint: str


class ProblemBody(_Body):
    """A problem document (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    name: str
    rule: str
    span: SpanBody | None
    hint: str
    retry: bool
    reasons: list[ReasonBody]
    audit_index: int | None
    instance: str = ""


class StageBody(_Body):
    """What departments are at work on."""

    name: str
    done: int
    total: int


class StatusBody(_Body):
    """How far a question is."""

    id: str
    status: Literal["queued", "running", "answered", "refused", "failed", "canceled"]
    problem: ProblemBody | None = None
    stage: Annotated[StageBody | None, Field(description="In events only.")] = None


class PersonBody(_Body):
    """A person or service, and the department that answers for it."""

    id: str
    department: str
    roles: list[str]
    regions: list[str]


class ParameterBody(_Body):
    """A blank of a template, and the literals that may stand in its place, as SQL."""

    name: str
    values: list[str]


class TemplateBody(_Body):
    """An approved query template: its statement, and an example with literals in the places of blanks."""

    name: str
    title: str
    purposes: list[str]
    parameters: list[ParameterBody]
    sql: str
    example: str
    basis: str
    until: str


class TemplatesBody(_Body):
    """The templates that are open to the caller."""

    templates: list[TemplateBody]


class ColumnBody(_Body):
    """Name and type of an output column; decimals and dates are text in the rows."""

    name: str
    type: str


class MarkBody(_Body):
    """A withheld value: row and column from 0."""

    row: int
    column: int
    reason: str


class WithheldBody(_Body):
    """How many values a rule withheld."""

    rule: str
    reason: str
    cells: int


class NoteBody(_Body):
    """A sentence in both languages."""

    en: str
    zh: str


class AppliedPolicyBody(_Body):
    """Under what the answer was given."""

    digest: str
    grants: list[str]
    threshold: int
    threshold_owner: str


class ReceiptBody(_Body):
    """Proof that an entry is in the log."""

    index: int
    leaf_hash: str
    checkpoint: str
    proof: list[str]


class SealedColumnBody(_Body):
    """An output column; labels are shown, values are sealed."""

    name: str
    source: str
    type: str
    labels: list[bool | int | str | None]
    marks: list[str | None]


class SealedWordBody(_Body):
    """A number of each cell that is encrypted."""

    name: str
    limbs: int
    scale: int


class SealedPartBody(_Body):
    """A part of a formula: ``constant * rows + sum of coefficient * sums``, fractions as text."""

    population: int
    constant: str
    terms: list[tuple[str, int]]


class SealedFormulaBody(_Body):
    """How an aggregate comes from the opened words."""

    kind: str
    key: int
    scale: int
    integer: bool
    parts: list[SealedPartBody]


class SealedBody(_Body):
    """Values under the recipient's key; byte strings are base64."""

    format: str
    query_id: str
    protocol: str
    key_id: str
    holders: list[str]
    threshold: int
    columns: list[SealedColumnBody]
    rows: list[int]
    cells: int
    words: list[SealedWordBody]
    sums: list[int]
    formulas: list[SealedFormulaBody]
    ciphertexts: str
    receipts: dict[str, str]
    ticket: str
    signature: str


class PublicationBody(_Body):
    """A public key and the proof that its holder made it; base64."""

    key: Annotated[str, Field(min_length=1, max_length=4_000)]
    proof: Annotated[str, Field(min_length=1, max_length=120_000)]
    replaces: Annotated[str, Field(max_length=64, description="Id of an own key.")] = ""


class WithdrawalBody(_Body):
    """Why a key is withdrawn."""

    reason: Annotated[str, Field(max_length=200)] = ""


class KeyBody(_Body):
    """A published key."""

    id: str
    login: str
    department: str
    bits: int
    published_at: str
    replaces: str
    revoked_at: str
    reason: str


class KeysBody(_Body):
    """All published keys, and the identity keys that sign sealed answers (Ed25519, hexadecimal)."""

    keys: list[KeyBody]
    parties: dict[str, str]


class LossBody(_Body):
    """A privacy loss: rho of zCDP, an exact fraction, and epsilon at the policy's delta, rounded up."""

    rho: str
    epsilon: float


class ScopesBody(_Body):
    """Of everybody, of the project, of the analyst."""

    snapshot: LossBody
    project: LossBody
    analyst: LossBody


class LeftBody(ScopesBody):
    """What each cap leaves, and all of them together."""

    least: LossBody


class BudgetBody(_Body):
    """The privacy budget of one dataset's present snapshot."""

    department: str
    dataset: str
    snapshot: str
    delta: str
    answer: LossBody
    caps: ScopesBody
    spent: ScopesBody
    left: LeftBody


class MissingBody(_Body):
    """A department that could not be asked, and why."""

    department: str
    code: str


class BudgetsBody(_Body):
    """What you may still spend in a project."""

    project: str
    analyst: str
    budgets: list[BudgetBody]
    missing: list[MissingBody]
    next: int | None = Field(description="`after` of the next page; null on the last.")


class AnswerBody(_Body):
    """A released answer with its receipt."""

    query_id: str
    status: Literal["answered"]
    protocol: str
    columns: list[ColumnBody]
    rows: list[list[bool | int | float | str | None]]
    suppressed: list[MarkBody]
    withheld: list[WithheldBody]
    notes: list[NoteBody]
    quality: float
    policy: AppliedPolicyBody
    result_digest: str
    receipt: ReceiptBody
    intervals: Annotated[
        list[list[float | None]] | None,
        Field(description="Half widths of 95 % intervals, shaped as rows; with noise only."),
    ] = None
    sealed: SealedBody | None = None


class StepBody(_Body):
    """One step of an explanation: who does what and learns what."""

    stage: str
    party: str
    what: str
    detail: str
    learns: str


class FlowBody(_Body):
    """What one party would send another, and how many bytes at most; null where nobody knows."""

    sender: str
    receiver: str
    what: str
    bytes_max: int | None


class FormBody(_Body):
    """A question near one that is refused; it was judged, and would pass."""

    sql: str
    purpose: str
    project: str
    recipient: str
    noise: str
    changes: list[str]


class ExplanationBody(_Body):
    """What would happen to a statement: nothing was run."""

    verdict: str
    code: str
    protocol: str
    reasons: list[ReasonBody]
    steps: list[StepBody]
    rewrites: list[str]
    limits: list[str]
    flows: list[FlowBody]
    form: FormBody | None


class MatchBody(_Body):
    """A dataset or column that was found."""

    dataset: str
    column: str
    name_zh: str
    name_en: str
    owner: str
    level: str
    sharing: str
    held: bool


class SearchBody(_Body):
    """What was found in the catalogue."""

    digest: str
    matches: list[MatchBody]


class CheckpointBody(_Body):
    """The newest signed checkpoint of the log."""

    size: int
    origin: str
    checkpoint: str
    keys: list[str]


class ConsistencyBody(_Body):
    """Proof that the log of ``old`` entries is a prefix of that of ``new``."""

    old: int
    new: int
    proof: list[str]


class EntryBody(_Body):
    """An entry of the log."""

    index: int
    leaf_hash: str
    event: str
    body: dict[str, object]


class EntriesBody(_Body):
    """A page of the log."""

    size: int
    entries: list[EntryBody]


class CodeBody(_Body):
    """One error code."""

    code: str
    name: str
    status: int
    retry: bool
    message: NoteBody
    hint: NoteBody


class HealthBody(_Body):
    """That the service runs."""

    status: Literal["ok"]
    version: str
