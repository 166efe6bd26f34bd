"""Usage records 使用记录: every release, once for each department that provided data and once for the one that uses it.

Nothing is kept beside the log: a record is read from the entry of the release, which stays for at least three years.

Spec: docs/spec/accountability.md, "Usage records". Decree 809 art. 29 and 34.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from middleplatform.access import csv_cells
from middleplatform.accountability.disposal import notes
from middleplatform.accountability.report import Approval
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import ReleaseQuery, Usage
from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog
from middleplatform.policy.templates import named

__all__ = [
    "UsageRecord", "as_csv", "plain", "provided", "used", "who_got_what", "with_notes", "with_templates",
]  # fmt: skip

_FIELDS = (
    "role", "index", "at", "query_id", "subject", "department", "recipient", "purpose", "grants", "basis", "scenario",
    "datasets", "columns", "protocol", "released", "suppressed", "result_digest", "answers_for_data", "answers_for_use",
    "effect", "storage", "disposal",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """One release as one side keeps it.

    Attributes:
        role: ``"provider"`` or ``"user"``: which side's record it is.
        index: Leaf index in the log.
        at: When.
        query_id: Of the question.
        subject: Login of the person who asked.
        department: That answers for the person.
        recipient: Department that received the answer.
        purpose: Code.
        grants: Ids.
        basis: 使用依据 of the grants, where known.
        scenario: 使用场景 of the grants, where known.
        datasets: Used; of a provider's record only its own.
        columns: Used; the same.
        protocol: How the departments answered.
        released: Values.
        suppressed: Cells.
        result_digest: SHA-256 of what was released.
        answers_for_data: Departments that answer for the data (谁管理谁负责).
        answers_for_use: Department that answers for the use (谁使用谁负责).
        effect: 应用成效, as the user wrote it down, oldest first.
        storage: 存储情况.
        disposal: 销毁情况.
    """

    role: str
    index: int
    at: datetime
    query_id: str
    subject: str
    department: str
    recipient: str
    purpose: str
    grants: tuple[str, ...]
    basis: tuple[str, ...]
    scenario: tuple[str, ...]
    datasets: tuple[str, ...]
    columns: tuple[str, ...]
    protocol: str
    released: int
    suppressed: int
    result_digest: str
    answers_for_data: tuple[str, ...]
    answers_for_use: str
    effect: tuple[str, ...] = ()
    storage: tuple[str, ...] = ()
    disposal: tuple[str, ...] = ()


def who_got_what(
    log: LogView, query: ReleaseQuery, incident: int | None = None
) -> tuple[Usage, ...]:
    """Return every release that ``query`` or an incident is about, oldest first.

    Args:
        log: To search.
        query: Dataset, column, window, person, department; every part that is given must hold.
        incident: Leaf index of an incident: its window and its datasets and columns must hold too.

    Raises:
        AuditError: A004 there is no such entry.
        QueryError: Q040 it is no incident.
    """
    if incident is None:
        return tuple(log.releases(query))
    try:
        affected = log.affected(incident)
    except ValueError:
        what = (f"entry {incident} is no incident", f"记录 {incident} 不是事件记录")
        raise QueryError("Q040", what=what) from None
    if query == ReleaseQuery():
        return affected
    wanted = {each.index for each in log.releases(query)}
    return tuple(each for each in affected if each.index in wanted)


def provided(
    log: LogView,
    department: str,
    catalog: Catalog,
    approvals: Mapping[str, Approval],
    window: ReleaseQuery | None = None,
) -> Iterator[UsageRecord]:
    """Yield who used the data of a department: of each release only what was its own."""
    for each in log.releases(window or ReleaseQuery()):
        mine = tuple(name for name in each.datasets if _owner(name, catalog) == department)
        if mine:
            columns = tuple(name for name in each.columns if name.rpartition(".")[0] in mine)
            yield _record("provider", each, mine, columns, approvals, (department,))


def used(
    log: LogView,
    department: str,
    catalog: Catalog,
    approvals: Mapping[str, Approval],
    window: ReleaseQuery | None = None,
) -> Iterator[UsageRecord]:
    """Yield what a department's people asked and what it received."""
    for each in log.releases(window or ReleaseQuery()):
        if department in (each.department, each.recipient):
            owners = tuple(sorted({_owner(name, catalog) for name in each.datasets}))
            yield _record("user", each, each.datasets, each.columns, approvals, owners)


def _record(
    role: str,
    each: Usage,
    datasets: tuple[str, ...],
    columns: tuple[str, ...],
    approvals: Mapping[str, Approval],
    owners: tuple[str, ...],
) -> UsageRecord:
    known = [approvals[name] for name in each.grants if name in approvals]
    return UsageRecord(
        role=role, index=each.index, at=each.at, query_id=each.query_id, subject=each.subject,
        department=each.department, recipient=each.recipient, purpose=each.purpose,
        grants=each.grants, basis=_once(one.basis for one in known),
        scenario=_once(one.scenario for one in known), datasets=datasets, columns=columns,
        protocol=each.protocol, released=each.released, suppressed=each.suppressed,
        result_digest=each.result_digest, answers_for_data=owners,
        answers_for_use=each.recipient or each.department,
    )  # fmt: skip


def with_templates(
    log: LogView,
    records: Iterable[UsageRecord],
    templates: Callable[[str], Mapping[str, Approval]],
) -> Iterator[UsageRecord]:
    """Yield records with basis and title of the templates that their answers rest on.

    Args:
        log: Says under which policy each was answered.
        records: Of releases.
        templates: Returns the templates of a policy by number, from its digest.
    """
    for each in records:
        if not named(each.grants):
            yield each
            continue
        said = templates(str(log.entry(each.index).record.body.get("policy_digest", "")))
        known = [said[name] for name in each.grants if name in said]
        yield replace(
            each,
            basis=_once((*each.basis, *(one.basis for one in known))),
            scenario=_once((*each.scenario, *(one.scenario for one in known))),
        )


def _once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text for text in texts if text))


def _owner(dataset: str, catalog: Catalog) -> str:
    known = catalog.datasets.get(dataset)
    return known.owner if known else dataset.partition(".")[0]


def with_notes(log: LogView, records: Iterable[UsageRecord]) -> tuple[UsageRecord, ...]:
    """Return records with what their users wrote down of effect, storage and disposal."""
    found = tuple(records)
    written = notes(log, (each.index for each in found))

    def said(each: UsageRecord, name: str) -> tuple[str, ...]:
        return tuple(one.said[name] for one in written.get(each.index, ()) if name in one.said)

    return tuple(
        replace(
            each,
            effect=said(each, "effect"),
            storage=said(each, "storage"),
            disposal=said(each, "disposal"),
        )
        for each in found
    )


def plain(record: UsageRecord) -> dict[str, object]:
    """Return a record JSON-ready, fields in the order of the CSV."""
    values = {name: getattr(record, name) for name in _FIELDS} | {"at": record.at.isoformat()}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def as_csv(records: Iterable[UsageRecord]) -> str:
    """Return records as CSV that no spreadsheet takes for formulas."""
    return csv_cells.table(_FIELDS, ([*plain(each).values()] for each in records))
