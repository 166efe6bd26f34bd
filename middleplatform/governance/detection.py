"""Who asks as an attacker would: judged from the log's own entries, each looked at once.

The process that serves reads what is new in its log before a question begins, and now and then between. What policy
calls probing becomes an alert, and a freeze where policy says so, in one act. Nothing is kept beside the log and the
alerts: after a start the last window of the log is read again, and what an alert has counted counts no more.

Spec: docs/spec/freezes.md, "Detection".
"""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Final

from sqlalchemy import Connection

from middleplatform.access.operator_log import where
from middleplatform.audit.entry import LogEntry, moment
from middleplatform.errors import MiddleplatformError
from middleplatform.governance.desk import Desk
from middleplatform.governance.freezes import BY_RULE, row_of, written
from middleplatform.model.freeze import Freeze, Scope
from middleplatform.model.policy import Bundle, ProbingRule
from middleplatform.model.request import person_key
from middleplatform.store import freezes as kept
from middleplatform.store.acts import Act, Change, next_number

__all__ = ["EVENT", "Detector", "Found", "Tally", "forms_of"]

EVENT: Final = "alert"

_LOG = logging.getLogger("middleplatform.governance")
_STOPPED = "P007"
_ENDS = frozenset({"refused", "released"})

Key = tuple[str, str, str]
"""Signal, for whom it is counted, and which of them."""


@dataclass(frozen=True, slots=True)
class Found:
    """A rule that an entry has crossed.

    Attributes:
        rule: Of the policy.
        target: The user, project or department it was counted for.
        measured: What it came to.
        entry: Index of the entry.
        at: Of the entry.
        person: Login of its question.
        department: Of its question.
        project: Of its question.
    """

    rule: ProbingRule
    target: str
    measured: Fraction
    entry: int
    at: datetime
    person: str
    department: str
    project: str

    @property
    def key(self) -> Key:
        """Return what it was counted under."""
        return _key(self.rule.signal, self.rule.per, self.target)


@dataclass(slots=True)
class _Window:
    """What was counted lately for one key: weights by name, the latest last; a name counts once."""

    marks: dict[str, tuple[datetime, Fraction]] = field(default_factory=dict)
    total: Fraction = Fraction()

    def add(self, at: datetime, name: str, weight: Fraction, minutes: int) -> Fraction:
        """Count a name, forget what is older than the window, and return the sum of what is left."""
        self._drop(name)
        self.marks[name] = at, weight
        self.total += weight
        oldest = at - timedelta(minutes=minutes)
        while self.marks[first := next(iter(self.marks))][0] <= oldest:
            self._drop(first)
        return self.total

    def _drop(self, name: str) -> None:
        _, weight = self.marks.pop(name, (None, Fraction()))
        self.total -= weight


class Tally:
    """Counts, entry by entry; pure but for itself.

    Args:
        rules: Of the policy.
        counted: By key, the entry up to which an alert has counted.
    """

    def __init__(self, rules: Iterable[ProbingRule], counted: Mapping[Key, int]) -> None:
        self._rules = tuple(rules)
        self._counted = dict(counted)
        self._windows: dict[Key, dict[str, _Window]] = {}

    def add(self, entry: LogEntry) -> list[Found]:
        """Count an entry and return the rules that it crosses."""
        record = entry.record
        if record.event == "received" or record.event in _ENDS:
            return list(self._crossed(entry.index, record.event, record.body))
        return []

    def _crossed(self, index: int, event: str, body: Mapping[str, object]) -> Iterable[Found]:
        if "fragment" in body or body.get("code") == _STOPPED:
            return
        names = {"user": _text(body, "subject"), "project": _text(body, "project")}
        names["department"] = _text(body, "department")
        at = moment(body.get("at"))
        for rule in self._rules:
            marks = _marks(rule.signal, event, body)
            key = _key(rule.signal, rule.per, names[rule.per])
            if not marks or not key[2] or index <= self._counted.get(key, -1):
                continue
            measured = max(self._measured(rule, key, at, *each) for each in marks)
            if measured > rule.most:
                self._counted[key] = index
                self._windows.pop(key, None)
                yield Found(
                    rule, names[rule.per], measured, index, at, names["user"], names["department"], names["project"]
                )  # fmt: skip

    def _measured(
        self, rule: ProbingRule, key: Key, at: datetime, group: str, name: str, weight: Fraction
    ) -> Fraction:
        """Return what a mark brings its key to: of forms, those of the statement's own form."""
        forms = self._windows.setdefault(key, {})
        window = forms.setdefault(group, _Window())
        if len(forms) > _FORMS_MAX:
            del forms[next(iter(forms))]
        return window.add(at, name, weight, rule.minutes)


_FORMS_MAX = 10_000
"""Forms of statements that are kept of one key; the oldest are forgotten first."""
_ONE = Fraction(1)


Mark = tuple[str, str, Fraction]
"""What an entry adds to a signal: a group, a name within it that counts once, and a weight."""


def _marks(signal: str, event: str, body: Mapping[str, object]) -> list[Mark]:
    if signal == "refusals":
        told = event == "refused" and _text(body, "code")[:1] in ("P", "D")
        return [("", _text(body, "query_id"), _ONE)] if told else []
    if signal == "budget":
        spent = _text(body, "budget") if event == "released" else ""
        return [("", _text(body, "query_id"), Fraction(spent))] if spent and spent != "0" else []
    if event != "received":
        return []
    if signal == "purposes":
        return [("", _text(body, "purpose"), _ONE)]
    sql = _text(body, "sql")  # one that is sealed for the auditor has no form here
    return [(form, name, _ONE) for form, name in sorted(forms_of(sql))]


def _key(signal: str, per: str, target: str) -> Key:
    """Return under what is counted: a person under all spellings of the login together."""
    return signal, per, person_key(target) if per == "user" else target


_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LITERALS = re.compile(r"'(?:[^']|'')*'|\b[0-9][0-9.eE]*\b")
_NAMED = re.compile(r"\bas\s+(?:\w+|\"[^\"]*\")")
_QUESTIONS = re.compile(r"\bselect\b|\bfilter\s*\(\s*where\b|\bwhen\b")
_WORDS = re.compile(r"\w+|[<>=!]+")


def forms_of(sql: str) -> set[tuple[str, str]]:
    """Return each condition, block and branch of a statement: its form, and itself, as digests.

    An analyst may ask forty questions in one statement, so each SELECT, FILTER and WHEN counts as one. A form is the
    set of words without literals and names given by AS: near-duplicates share it, in whatever order, with whatever
    blanks, letters and comments, and however often a part is repeated.
    """
    text = _NAMED.sub(" ", " ".join(_COMMENTS.sub(" ", sql).casefold().split()))
    parts = (" ".join(each.split()) for each in _QUESTIONS.split(text))
    return {(_digest(" ".join(sorted(_words(each)))), _digest(each)) for each in parts if each}


def _words(text: str) -> set[str]:
    return set(_WORDS.findall(_LITERALS.sub(" ", text)))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _text(body: Mapping[str, object], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""


class Detector:
    """Reads the log of this process on, and raises alerts; many threads may use it.

    Args:
        desk: With the log; where another process holds it nothing is done, that process detects.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk, self._lock = desk, threading.Lock()
        self._rules: tuple[ProbingRule, ...] = ()
        self._tally = Tally((), {})
        self._next = 0
        self._due: list[Found] = []

    def look(self, bundle: Bundle) -> None:
        """Judge what is new under a policy's rules, and raise what they call probing.

        What goes wrong is told the operator and tried again at the next look: a question is not refused for it.
        """
        if self._desk.log is None:
            return
        try:
            with self._lock:
                self._read(bundle.limits.probing)
                while self._due:
                    self._raise(self._due[0], bundle)
                    del self._due[0]
        except Exception as error:  # noqa: BLE001 - whatever it is, the next entry must be seen
            said = (
                f"{error.code} {error.detail}"
                if isinstance(error, MiddleplatformError)
                else where(error)
            )
            _LOG.error("detection: %s", said)

    def _read(self, rules: tuple[ProbingRule, ...]) -> None:
        log = self._desk.log
        assert log is not None
        if rules != self._rules:
            self._begin(rules)
        size = log.size
        if not rules:
            self._next = size
            return
        for entry in log.entries(self._next, size):
            self._due += self._tally.add(entry)
            self._next = entry.index + 1

    def _begin(self, rules: tuple[ProbingRule, ...]) -> None:
        """Start over: after a start of the process, and where policy counts otherwise now."""
        log = self._desk.log
        assert log is not None
        with self._desk.store.reading() as connection:
            counted = _counted(connection, log.origin)
        since = self._desk.clock.now() - timedelta(
            minutes=max((each.minutes for each in rules), default=0)
        )
        self._next = _first_since(
            log.size, since, lambda index: moment(log.entry(index).record.body.get("at"))
        )
        self._tally, self._rules = Tally(rules, counted), rules

    def _raise(self, found: Found, bundle: Bundle) -> None:
        log = self._desk.log
        assert log is not None
        origin = log.origin

        def decide(connection: Connection, act: int) -> Act:
            now = self._desk.clock.now()
            freeze = _freeze(connection, found, now)
            number = next_number(connection, kept.alerts.c.number)
            return _act(number, act, found, freeze, origin, bundle.digest)

        with self._desk.store.reading() as connection:
            known = _counted(connection, origin).get(found.key, -1)
        if known < found.entry:  # else an act of this came through though its maker heard otherwise
            self._desk.perform(decide)


def _counted(connection: Connection, origin: str) -> dict[Key, int]:
    """Return by key the entry up to which an alert has counted."""
    found: dict[Key, int] = {}
    for each, entry in kept.alerts_last(connection, origin).items():
        key = _key(*each)
        found[key] = max(entry, found.get(key, entry))
    return found


def _first_since(size: int, since: datetime, at: Callable[[int], datetime]) -> int:
    """Return the first index whose entry is not before a moment: entries are in the order of time, nearly."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle) < since else (low, middle)
    return low


def _freeze(connection: Connection, found: Found, now: datetime) -> Freeze | None:
    """Return the freeze that the rule asks for; none where its target is frozen for as long already."""
    rule = found.rule
    target = {"user": found.person, "project": found.project, "department": found.department}.get(
        rule.freeze
    )
    if not target:
        return None
    scope, ends = Scope(rule.freeze), now + timedelta(hours=rule.hours) if rule.hours else None
    for each in kept.freezes_open(connection):
        lasting = each.ends is None or (ends is not None and each.ends >= ends)
        same = _key("", each.scope, each.target) == _key("", scope, target)
        if same and each.holds(now) and lasting:
            return None
    number = next_number(connection, kept.freezes.c.number)
    reason = f"{rule.signal}/{rule.per} > {rule.most} in {rule.minutes} min"
    return Freeze(number, scope, target, reason, "", "", BY_RULE, now, ends)


def _act(number: int, act: int, found: Found, freeze: Freeze | None, log: str, policy: str) -> Act:
    rule = found.rule
    told: dict[str, object] = {
        "alert": number, "signal": rule.signal, "per": rule.per, "target": found.target,
        "measured": str(found.measured), "most": str(rule.most), "minutes": rule.minutes,
        "subject": found.person, "department": found.department, "project": found.project,
        "entry": found.entry, "policy_digest": policy,
    }  # fmt: skip
    row = {
        "number": number, "signal": rule.signal, "per": rule.per, "target": found.target,
        "measured": str(found.measured), "most": str(rule.most), "minutes": rule.minutes,
        "person": found.person, "department": found.department, "project": found.project,
        "log": log, "entry": found.entry, "at": found.at,
        "freeze": None if freeze is None else freeze.number, "act": act,
    }  # fmt: skip
    if freeze is None:
        return Act(EVENT, told, (Change("alerts", row),))
    return Act(
        EVENT, {**told, "frozen": written(freeze)}, (row_of(freeze, act), Change("alerts", row))
    )
