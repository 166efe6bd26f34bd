"""The report of one decision: what was asked, decided, protected and released, by whom and on whose responsibility.

Everything that the log says stands in the report as the log says it, once: the entries themselves, each with its proof
of inclusion under one signed checkpoint. Around them stands what they do not say: names of departments, bases of
grants, label of the policy. All of it is signed by the log's key, in a form that can be taken for no checkpoint.

Spec: docs/spec/decision-report.md. Why this key: docs/adr/0040-reports-are-signed-by-the-logs-key.md
"""

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from middleplatform.accountability.report_page import page
from middleplatform.accountability.report_words import parties, protections
from middleplatform.audit import verify
from middleplatform.audit.entry import LogEntry, canonical
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import query_needle
from middleplatform.errors import AuditError, QueryError
from middleplatform.model.catalog import Catalog

__all__ = ["Approval", "Circumstances", "Decided", "Report", "check", "decided", "make"]

_ENDS = ("released", "refused", "failed")


@dataclass(frozen=True, slots=True)
class Approval:
    """A grant that an answer rests on.

    Attributes:
        grant: Its id.
        basis: The law or duty it rests on.
        scenario: What it is for; empty where nobody wrote it down.
        ends: First moment at which it is over.
        approved_by: Logins.
    """

    grant: str
    basis: str
    scenario: str
    ends: datetime
    approved_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says beside the log.

    Attributes:
        catalog: Names and owners.
        versions: (number, label) of each policy known, by digest; number 0 for one that was configured.
        approvals: By id of the grant.
    """

    catalog: Catalog
    versions: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    approvals: Mapping[str, Approval] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decided:
    """The entries of one decision.

    Attributes:
        question: How it came in; None where the log does not hold that.
        end: How it was decided.
    """

    question: LogEntry | None
    end: LogEntry

    @property
    def entries(self) -> tuple[LogEntry, ...]:
        """Return them in the order of the log, the decision last."""
        return (self.end,) if self.question is None else (self.question, self.end)


@dataclass(frozen=True, slots=True)
class Report:
    """A signed report.

    Attributes:
        value: As JSON, signature included.
        json: The file, canonical.
        html: The page, with the same JSON in it; signed itself.
    """

    value: Mapping[str, Any]
    json: str
    html: str


def decided(log: LogView, wanted: str) -> Decided:
    """Find a decision by the id of its query or by the leaf index of any of its entries.

    Raises:
        QueryError: Q041 there is none.
        AuditError: A001, A002.
    """
    query_id = _query_of(log, wanted)
    question, end = None, None
    for entry in log.holding(query_needle(query_id)):
        record = entry.record
        if record.body.get("query_id") != query_id:
            continue
        if record.event == "received":
            question = entry
        elif record.event in _ENDS and not _left(end):
            end = entry
    if end is None:
        raise _none(wanted)
    return Decided(question if question and question.index < end.index else None, end)


def _left(end: LogEntry | None) -> bool:
    """Say whether an answer was entered: who cancels while it leaves may have it all the same, so it counts as left."""
    return end is not None and end.record.event == "released"


def _query_of(log: LogView, wanted: str) -> str:
    short = len(wanted) < 16  # noqa: PLR2004 - a leaf index; the id of a query has 32 hexadecimal digits
    if not (short and wanted.isascii() and wanted.isdigit()):
        return wanted
    try:
        found = log.entry(int(wanted)).record.body.get("query_id")
    except AuditError as error:
        if error.code != "A004":
            raise
        found = None
    if not isinstance(found, str):
        raise _none(wanted)
    return found


def _none(wanted: str) -> QueryError:
    return QueryError("Q041", what=(f"decision {wanted} in the log", f"日志中的决定 {wanted}"))


def make(
    log: LogView,
    found: Decided,
    around: Circumstances,
    signer: CheckpointSigner,
    now: datetime,
    *,
    size: int | None = None,
) -> Report:
    """Return the signed report of a decision.

    Args:
        log: Holds it.
        found: As ``decided`` gives it.
        around: What the log does not say.
        signer: The log's key.
        now: When the report is made, UTC.
        size: Of a checkpoint that was signed, to whose tree the proofs lead; the newest unless given.

    Raises:
        AuditError: A004 no checkpoint was signed at ``size``, or it does not cover the decision.
    """
    at = log.size if size is None else size
    body = found.end.record.body
    value: dict[str, Any] = {
        "approvals": [_approval(each) for each in _approvals(body, around)],
        "checkpoint": log.checkpoint_at(at),
        "counts": {"released": body.get("released_values", 0), "suppressed": _suppressed(body)},
        "entries": [_proved(log, entry, at) for entry in found.entries],
        "format": verify.REPORT,
        "hash": log.profile.name,
        "made_at": now.isoformat(),
        "origin": log.origin,
        "outcome": found.end.record.event,
        "parties": parties(body, around.catalog),
        "policy": _policy(body, around),
        "protections": protections(body),
    }
    value["signature"] = _signed("json", canonical(value), signer)
    text = canonical(value).decode() + "\n"
    return Report(value, text, _page(value, text, signer))


def _suppressed(body: Mapping[str, object]) -> int:
    rows = body.get("withheld")
    return sum(int(row[2]) for row in rows) if isinstance(rows, list) else 0


def _proved(log: LogView, entry: LogEntry, size: int) -> dict[str, object]:
    proof = [part.hex() for part in log.inclusion_proof(entry.index, size)]
    return {"entry": json.loads(entry.leaf), "proof": proof}


def _policy(body: Mapping[str, object], around: Circumstances) -> dict[str, object]:
    digest = str(body.get("policy_digest", ""))
    number, label = around.versions.get(digest, (0, ""))
    return {"digest": digest, "number": number, "version": label}


def _approvals(body: Mapping[str, object], around: Circumstances) -> Iterator[Approval | str]:
    grants = body.get("grants")
    for name in grants if isinstance(grants, list) else ():
        yield around.approvals.get(name, name)


def _approval(each: Approval | str) -> dict[str, object]:
    if isinstance(each, str):
        return {"grant": each}
    return {
        "grant": each.grant, "basis": each.basis, "scenario": each.scenario,
        "ends": each.ends.isoformat(), "approved_by": list(each.approved_by),
    }  # fmt: skip


def _signed(kind: str, content: bytes, signer: CheckpointSigner) -> str:
    body = verify.statement(kind, content, signer.name)
    return f"{body}\n{signer.sign(body)}"


def _page(value: Mapping[str, Any], text: str, signer: CheckpointSigner) -> str:
    head = page(value)
    block = verify.JSON_OPENS + html.escape(text, quote=False) + "</pre>\n"
    content = head + block + verify.SIGNATURE_OPENS
    note = _signed("html", content.encode(), signer)
    return content + html.escape(note, quote=False) + verify.CLOSES


def check(
    text: str, keys: Sequence[VerifierKey], against: str | None = None
) -> tuple[Mapping[str, Any], int]:
    """Verify a report, JSON or page, as ``audit/verify.py`` does.

    Args:
        text: The file, whole.
        keys: Public keys of the log, from a place that is trusted.
        against: A checkpoint of the same size from elsewhere.

    Returns:
        The report's value and the size of the log that its checkpoint covers.

    Raises:
        AuditError: A002 when anything about it is not as the log and its key say.
    """
    known = verify.read_keys("\n".join(key.text() for key in keys))
    try:
        _, size = verify.verify_report(text, known, against)
        return json.loads(verify.report_json(text, known)), size
    except verify.Broken as fault:
        raise AuditError("A002", what=fault.args[1]) from None
    except (LookupError, TypeError, ValueError, AttributeError):
        raise AuditError("A002", what=("the report is malformed", "报告格式错误")) from None
