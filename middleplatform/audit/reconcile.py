"""Hold the platform's log and a department's against each other, receipt by receipt.

Pure: two streams of entries go in, findings come out. Both logs are read once, side by side by time;
what is kept is one hour of queries and whatever has not found its counterpart.

A department that was asked keeps an entry; the platform's log must know the query, how it ended, and,
when an answer was released, every receipt. Neither party can hide a query alone: the department's
entry names what the platform hides, the receipt in the platform's entry what the department hides.

Spec: docs/spec/audit-log.md, "Reconciling two logs".
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from middleplatform.audit.entry import LogEntry
from middleplatform.audit.faults import invalid
from middleplatform.audit.findings import Finding, Kind, Tally
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.receipts import ReceiptFields, verify_receipt
from middleplatform.errors import ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.model.record import AuditRecord

__all__ = ["Reconciler"]

_TOLERANCE = timedelta(seconds=300)  # by how much clocks may differ
_KEPT = timedelta(hours=1)  # longer than any query takes
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_ENDS = ("released", "refused", "failed")
_WHO = ("subject", "department", "purpose", "project")


@dataclass(frozen=True, slots=True)
class _Held:
    """One log's side of one fragment: where, what its receipt says, what else can be compared."""

    index: int
    at: datetime
    fields: ReceiptFields
    said: Mapping[str, object]


@dataclass(slots=True)
class _Query:
    """What both logs have said of a query so far."""

    query_id: str
    seen: datetime
    asked: int | None = None
    end: tuple[int, str] | None = None
    who: dict[str, object] = field(default_factory=dict)  # by the platform
    receipts: dict[str, _Held] = field(default_factory=dict)  # of the platform, by fragment
    answers: dict[str, _Held] = field(default_factory=dict)  # of the node, by fragment
    traces: dict[int, tuple[datetime, Mapping[str, object]]] = field(default_factory=dict)
    done: dict[str, tuple[object, object]] = field(default_factory=dict)  # number and text


class Reconciler:
    """One comparison; ``run`` it once.

    Args:
        department: Whose log is compared.
        identity_keys: Its identity keys, present and former, 32 bytes each, from a trusted place.
        platform_reach: Up to when the platform's log is known to hold everything; its last entry's
            time when that is later.
        node_reach: The same of the department's.
        since: Entries of earlier events are left out.

    Attributes:
        tally: How much was compared; complete once ``run`` has ended.
    """

    def __init__(
        self,
        department: str,
        identity_keys: Iterable[bytes],
        *,
        platform_reach: datetime = _BEGINNING,
        node_reach: datetime = _BEGINNING,
        since: datetime = _BEGINNING,
    ) -> None:
        self.tally = Tally()
        self._department = department
        self._pins = [PinnedKeys({department: key}) for key in identity_keys]
        self._reach = {"platform": platform_reach, "node": node_reach}
        self._since = since
        self._queries: OrderedDict[str, _Query] = OrderedDict()

    def run(self, platform: Iterable[LogEntry], node: Iterable[LogEntry]) -> Iterator[Finding]:
        """Compare two logs and yield what is found, as soon as it is certain.

        Args:
            platform: Entries of the platform's log, in order; verified by the caller.
            node: Entries of the department's, likewise.

        Raises:
            AuditError: A002 when an entry is none.
        """
        for side, entry, at, low in self._merged(platform, node):
            if side == "platform":
                self.tally.platform += 1
            else:
                self.tally.node += 1
            if at < self._since:
                continue
            take = self._platform if side == "platform" else self._node
            yield from take(entry.index, entry.record, at)
            while self._queries and next(iter(self._queries.values())).seen + _KEPT < low:
                yield from self._settled(self._queries.popitem(last=False)[1])
        while self._queries:
            yield from self._settled(self._queries.popitem(last=False)[1])

    def _merged(
        self, platform: Iterable[LogEntry], node: Iterable[LogEntry]
    ) -> Iterator[tuple[str, LogEntry, datetime, datetime]]:
        """Yield (side, entry, its time, time up to which both were read), the earlier one first."""
        sides = {"platform": iter(platform), "node": iter(node)}
        heads: dict[str, tuple[datetime, LogEntry]] = {}
        for side in sides:
            self._advance(sides, heads, side)
        while heads:
            side = min(heads, key=lambda each: heads[each][0])
            at, entry = heads[side]
            self._advance(sides, heads, side)
            yield side, entry, at, min((head[0] for head in heads.values()), default=at)

    def _advance(
        self,
        sides: Mapping[str, Iterator[LogEntry]],
        heads: dict[str, tuple[datetime, LogEntry]],
        side: str,
    ) -> None:
        """Read one more entry of a log; that it exists says how far the log reaches."""
        entry = next(sides[side], None)
        if entry is None:
            heads.pop(side, None)
            return
        at = _moment(entry)
        heads[side] = (at, entry)
        self._reach[side] = max(self._reach[side], at)

    # --- entries of the platform --------------------------------------------------------------------------------------

    def _platform(self, index: int, record: AuditRecord, at: datetime) -> Iterator[Finding]:
        query_id = record.body.get("query_id")
        if not isinstance(query_id, str):
            return
        if record.event not in ("received", *_ENDS):
            return
        query = self._touched(query_id, at)
        query.who = _who(record.body)
        if record.event == "received":
            if query.asked is not None:
                yield Finding(Kind.TWICE, query_id, index)
            query.asked = index
            return
        if query.end is not None:
            yield Finding(Kind.TWICE, query_id, index)
        query.end = (index, record.event)
        if record.event == "released":
            yield from self._told(query, index, record.body, at)

    def _told(
        self, query: _Query, index: int, body: Mapping[str, object], at: datetime
    ) -> Iterator[Finding]:
        """Take the department's receipts from the entry of a release."""
        fragments = body.get("fragments")
        for number, each in enumerate(fragments if isinstance(fragments, list) else ()):
            receipts = each.get("receipts") if isinstance(each, dict) else None
            receipt = receipts.get(self._department) if isinstance(receipts, dict) else None
            if receipt is None:
                continue
            fields = self._verified(receipt)
            if fields is None or fields.query_id != query.query_id:
                yield Finding(Kind.BAD_RECEIPT, query.query_id, index)
                continue
            said = _who(body) | {
                "number": number,
                "sql": each.get("sql"),
                "gateway_policy_digest": body.get("policy_digest"),
                "sealed_for": body.get("sealed_for"),
                "noise": each.get("noise"),
                "template": each.get("template"),
            }
            yield from self._match(query, "platform", _Held(index, at, fields, said))

    # --- entries of the department ------------------------------------------------------------------------------------

    def _node(self, index: int, record: AuditRecord, at: datetime) -> Iterator[Finding]:
        body, query_id = record.body, record.body.get("query_id")
        if body.get("protocol") == "own":
            self.tally.own += 1
        elif record.event not in ("received", *_ENDS):
            return
        elif not isinstance(query_id, str):
            self.tally.unsigned += 1
        elif record.event != "released":
            self._touched(query_id, at).traces[index] = (at, _who(body))
        else:
            query = self._touched(query_id, at)
            fields = self._verified(body.get("receipt"))
            if fields is None or not _consistent(body, fields):
                query.traces[index] = (at, _who(body))
                yield Finding(Kind.BAD_RECEIPT, query_id, node_index=index)
                return
            yield from self._match(query, "node", _Held(index, at, fields, body))

    # --- matching -----------------------------------------------------------------------------------------------------

    def _touched(self, query_id: str, at: datetime) -> _Query:
        query = self._queries.setdefault(query_id, _Query(query_id, at))
        query.seen = max(query.seen, at)
        self._queries.move_to_end(query_id)
        return query

    def _verified(self, receipt: object) -> ReceiptFields | None:
        """Return what a receipt of the department says, or None."""
        for pins in self._pins if isinstance(receipt, str) else ():
            try:
                return verify_receipt(str(receipt), self._department, pins)
            except ProtocolError:
                continue
        return None

    def _match(self, query: _Query, side: str, held: _Held) -> Iterator[Finding]:
        """Compare with the other log's side of the same fragment, or wait for it."""
        fragment = held.fields.fragment_digest
        here, there = query.receipts, query.answers
        if side == "node":
            here, there = there, here
        other = there.pop(fragment, None)
        if fragment in here or fragment in query.done:
            yield _finding(Kind.TWICE, query, side, held)
        elif other is None:
            here[fragment] = held
        else:
            told, answer = (held, other) if side == "platform" else (other, held)
            query.done[fragment] = (answer.said.get("number"), answer.said.get("sql"))
            names = _differing(told, answer)
            if names:
                yield Finding(Kind.DIFFERS, query.query_id, told.index, answer.index, names)
            else:
                self.tally.matched += 1

    def _settled(self, query: _Query) -> Iterator[Finding]:
        """Say what has found no counterpart in a query of which no more will be heard."""
        for held in query.receipts.values():
            kind = self._missing("node", held.at, Kind.NOT_AT_NODE)
            yield _finding(kind, query, "platform", held)
        told = dict(query.traces)
        for held in query.answers.values():
            if query.end is None or query.end[1] != "released":
                told[held.index] = (held.at, _who(held.said))
                self.tally.not_released += query.end is not None
            elif (held.said.get("number"), held.said.get("sql")) in query.done.values():
                self.tally.not_released += 1  # asked again in a later attempt, which was released
            else:
                kind = self._missing("platform", held.at, Kind.NOT_AT_PLATFORM)
                yield Finding(kind, query.query_id, query.end[0], held.index)
        for index, (at, who) in told.items():
            yield from self._trace(query, index, at, who)

    def _trace(
        self, query: _Query, index: int, at: datetime, who: Mapping[str, object]
    ) -> Iterator[Finding]:
        """Hold an entry of the department without a receipt against what the platform says."""
        if query.end is None:
            kind = Kind.HIDDEN if query.asked is None else Kind.UNENDED
            kind = self._missing("platform", at, kind)
            yield Finding(kind, query.query_id, query.asked, index)
        elif who != query.who:
            names = tuple(name for name in _WHO if who[name] != query.who[name])
            yield Finding(Kind.DIFFERS, query.query_id, query.end[0], index, names)

    def _missing(self, side: str, at: datetime, kind: Kind) -> Kind:
        """Return ``kind`` if the log of ``side`` reaches beyond the moment, else OUTSIDE."""
        inside = self._since <= at - _TOLERANCE and at + _TOLERANCE <= self._reach[side]
        return kind if inside else Kind.OUTSIDE


def _who(body: Mapping[str, object]) -> dict[str, object]:
    return {name: body.get(name) for name in _WHO}


def _finding(kind: Kind, query: _Query, side: str, held: _Held) -> Finding:
    if side == "platform":
        return Finding(kind, query.query_id, held.index)
    return Finding(kind, query.query_id, node_index=held.index)


def _differing(told: _Held, answer: _Held) -> tuple[str, ...]:
    """Return the names of what the two logs say differently of one fragment."""
    names = [
        name
        for name in ("policy_digest", "protocol", "cells", "result_digest")
        if getattr(told.fields, name) != getattr(answer.fields, name)
    ]
    return (*names, *(name for name in told.said if told.said[name] != answer.said.get(name)))


def _consistent(body: Mapping[str, object], fields: ReceiptFields) -> bool:
    """Say whether a department's entry is the one that its receipt was signed for."""
    named = all(
        body.get(name) == getattr(fields, name)
        for name in ("query_id", "policy_digest", "protocol", "cells", "result_digest")
    )
    return named and body.get("fragment") == fields.fragment_digest == _digest(body)


def _digest(body: Mapping[str, object]) -> str:
    """Return the digest of the fragment that an entry tells of, or nothing when it tells of none."""
    names = ("query_id", "attempt", "number", "protocol", "cohort", "sql", "purpose", "project")
    told = {name: body.get(name) for name in (*names, "issued_at")}
    told["department"] = body.get("node")
    told["policy_digest"] = body.get("gateway_policy_digest")
    told |= {name: body.get(name, "") for name in ("sealed_for", "noise", "template")}
    told["subject"] = {
        "id": body.get("subject"),
        "department": body.get("department"),
        "roles": body.get("roles"),
        "regions": body.get("regions"),
    }
    try:
        return Fragment.from_mapping(told).digest()
    except (KeyError, TypeError, ValueError, AssertionError):
        return ""


def _moment(entry: LogEntry) -> datetime:
    try:
        return entry.at
    except ValueError:
        what = (f"entry {entry.index} has no time", f"第 {entry.index} 条记录没有时间")
        raise invalid(*what) from None
