"""What a department signed, as the platform's log holds it, and that log held against the department's own.

Spec: docs/spec/audit-log.md, "Reconciling two logs".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from middleplatform.audit import export, verify
from middleplatform.audit.entry import LogEntry
from middleplatform.audit.findings import Finding, Tally
from middleplatform.audit.reader import LogView
from middleplatform.audit.reconcile import Reconciler
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.receipts import verify_receipt
from middleplatform.errors import AuditError, ProtocolError, QueryError

__all__ = ["FINDINGS_MAX", "Reconciled", "Signed", "reconciled", "signed"]

FINDINGS_MAX = 500
"""Findings that are listed; all are counted."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Signed:
    """A department's receipt in the entry of a release.

    Attributes:
        fragment: Place of its fragment in the entry, from 0.
        protocol: How the department answered; empty where the receipt does not verify.
        good: Whether the key that is pinned for the department signed it, for this question.
    """

    fragment: int
    protocol: str
    good: bool


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What comparing two logs found.

    Attributes:
        origin: Name of the department's log.
        size: Entries of it.
        tally: How much was compared.
        findings: The first ``FINDINGS_MAX``.
        faults: How many of all findings are faults.
        outside: How many are beyond the reach of one log.
    """

    origin: str
    size: int
    tally: Tally
    findings: tuple[Finding, ...]
    faults: int
    outside: int


def signed(entry: LogEntry, department: str, pins: PinnedKeys) -> tuple[Signed, ...]:
    """Return the receipts of a department in the entry of a release."""
    body = entry.record.body
    fragments = body.get("fragments")
    return tuple(
        _signed(place, receipts[department], str(body.get("query_id")), department, pins)
        for place, each in enumerate(fragments if isinstance(fragments, list) else ())
        if isinstance(each, dict) and isinstance(receipts := each.get("receipts"), dict)
        if department in receipts
    )


def _signed(
    place: int, receipt: object, query_id: str, department: str, pins: PinnedKeys
) -> Signed:
    try:
        fields = verify_receipt(str(receipt), department, pins)
    except ProtocolError:
        return Signed(place, "", good=False)
    return Signed(place, fields.protocol, good=fields.query_id == query_id)


def reconciled(
    log: LogView,
    department: str,
    pins: PinnedKeys,
    exported: str,
    keys: str,
    now: datetime,
    since: datetime | None = None,
) -> Reconciled:
    """Hold the platform's log against the export of a department's.

    Args:
        log: The platform's.
        department: Whose receipts are compared.
        pins: With its identity key.
        exported: As ``audit export`` wrote it.
        keys: Public keys of that log, one a line.
        now: When the platform's log is read: up to then it holds everything.
        since: Earlier events are left out.

    Raises:
        QueryError: Q040 no node of the department, no public key, or it is the log of another department.
        AuditError: A002 the export does not verify.
    """
    if department not in pins.names:
        what = ("your department has no node here", "本部门在此没有节点")
        raise QueryError("Q040", what=what)
    known = _keys(keys)
    origin = known[0][0]
    if origin.partition(".")[0] != department:
        what = (f"{origin[:100]} is not your department's log", f"{origin[:100]} 不是本部门的日志")
        raise QueryError("Q040", what=what)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.jsonl"
        path.write_text(exported, encoding="utf-8", newline="")
        try:
            size = verify.verify(path, known, None)
        except verify.Broken as fault:
            raise AuditError("A002", what=fault.args[1]) from None
        compared = Reconciler(
            department,
            [pins.public_key(department)],
            platform_reach=now,
            since=since or _BEGINNING,
        )
        counts = {True: 0, False: 0}
        found = _counted(compared.run(log.entries(), export.entries(path)), counts)
        listed = tuple(islice(found, FINDINGS_MAX))
        for _ in found:  # the rest is counted only
            continue
    return Reconciled(origin, size, compared.tally, listed, counts[True], counts[False])


def _counted(found: Iterator[Finding], counts: dict[bool, int]) -> Iterator[Finding]:
    for each in found:
        counts[each.fault] += 1
        yield each


def _keys(text: str) -> list[verify.Key]:
    try:
        found = verify.read_keys(text.strip().replace("\r\n", "\n"))
    except ValueError:
        found = []
    if not found:
        raise QueryError("Q040", what=("that is no public key of a log", "不是日志公钥"))
    return found
