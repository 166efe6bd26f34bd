"""What was not done in time, or tried beyond a grant: a list with articles, for those who hold to account.

Each finding names the article of the duty, not of the sanction: whether art. 39 to 41 apply is for people to say.

Spec: docs/spec/accountability.md, "Findings". Decree 809 art. 17, 21, 22, 25, 26; 39 to 41.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from threading import Lock
from weakref import WeakKeyDictionary

from middleplatform.accountability.figures import Case, Figures
from middleplatform.accountability.periods import Period
from middleplatform.accountability.tickets import Ticket, term
from middleplatform.audit.entry import LogEntry
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import event_needle
from middleplatform.governance.terms import Rules, Term, terms

__all__ = ["SANCTIONS", "Finding", "Refused", "beyond", "findings", "plain"]

SANCTIONS = {"provider": "第三十九条", "demander": "第四十条", "authority": "第四十一条"}
"""Articles under which each side answers."""

_BEYOND = frozenset({"P002", "P003"})
Refused = tuple[datetime, str]
"""When a question was refused, and the department that asked it."""
_SIDES = {"answer_conditional": "provider", "deliver": "provider", "correct": "provider"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One duty that was not met.

    Attributes:
        side: ``"provider"``, ``"demander"`` or ``"authority"``.
        department: Which; empty for the data bureau.
        article: Of the duty.
        what_en: In words.
        what_zh: The same.
        about: Number of the application or ticket, name of the dataset; empty for a count.
        due: Last day, ISO; empty where there is none.
        met_at: When it was done all the same, ISO; empty while it is not.
        count: How often; 1 for a single duty.
    """

    side: str
    department: str
    article: str
    what_en: str
    what_zh: str
    about: str = ""
    due: str = ""
    met_at: str = ""
    count: int = 1


def findings(
    known: Iterable[Case],
    complaints: Iterable[Ticket],
    refusals: Iterable[Refused],
    all_figures: Iterable[Figures],
    rules: Rules,
    now: datetime,
    period: Period,
) -> tuple[Finding, ...]:
    """Return every duty that fell due in a period and was missed, providers first.

    Args:
        known: Applications with their histories.
        complaints: Tickets.
        refusals: Of questions beyond a purpose or grant, as ``beyond`` gives them.
        all_figures: Of the providers, for stale assets.
        rules: Deadlines and working days.
        now: The moment as of which terms run.
        period: In which a term ended or a question was refused.
    """
    late = [*_late_terms(known, rules, now, period), *_late_tickets(complaints, rules, now, period)]
    found = [*late, *_stale(all_figures), *_beyond(refusals, period)]
    order = list(SANCTIONS)
    return tuple(
        sorted(found, key=lambda each: (order.index(each.side), each.department, each.about))
    )


def _late_terms(
    known: Iterable[Case], rules: Rules, now: datetime, period: Period
) -> Iterator[Finding]:  # fmt: skip
    for case in known:
        for last in terms(case.state, rules, now):
            each = last
            if last.name == "answer_conditional":
                each = replace(last, met_at=case.first_answer(last.department))
            if each.overdue(now) and period.holds(rules.calendar.end_of(each.due)):
                yield _missed(each, case.state.number)


def _late_tickets(
    complaints: Iterable[Ticket], rules: Rules, now: datetime, period: Period
) -> Iterator[Finding]:
    for ticket in complaints:
        each = term(ticket, rules)
        runs = ticket.pending or ticket.answered_at is not None
        if runs and each.overdue(now) and period.holds(rules.calendar.end_of(each.due)):
            yield _missed(each, ticket.number)


def _missed(each: Term, about: str) -> Finding:
    said = each.deadline
    return Finding(
        _SIDES.get(each.name, "authority"), each.department, said.article,
        f"late: {said.name_en}", f"逾期：{said.name_zh}", about, each.due.date.isoformat(),
        "" if each.met_at is None else each.met_at.isoformat(),
    )  # fmt: skip


def _stale(all_figures: Iterable[Figures]) -> Iterator[Finding]:
    for each in all_figures:
        for name in each.stale:
            yield Finding(
                "provider", each.department, "第十七条",
                "catalogue entry not kept fresh", "目录未及时更新", name,
            )  # fmt: skip


def beyond(log: LogView) -> Sequence[Refused]:
    """Return what was refused because it went beyond a purpose or grant, oldest first.

    What was read of a log is kept: the next time only its newer entries are read.
    """
    with _LOCK:
        size = log.size
        read, found = _READ.get(log, (0, ()))
        if size > read:
            new = log.holding(event_needle("refused"), start=read)
            found = (*found, *(_refused(each) for each in new if _is_beyond(each, size)))
            _READ[log] = size, found
    return found


_LOCK = Lock()
_READ: "WeakKeyDictionary[LogView, tuple[int, tuple[Refused, ...]]]" = WeakKeyDictionary()
"""By log, how many entries were read, and what was found in them."""


def _is_beyond(entry: LogEntry, size: int) -> bool:
    record = entry.record
    return entry.index < size and record.event == "refused" and record.body.get("code") in _BEYOND


def _refused(entry: LogEntry) -> Refused:
    return entry.at, str(entry.record.body.get("department"))


def _beyond(refusals: Iterable[Refused], period: Period) -> Iterator[Finding]:
    """Yield how often each department asked beyond its purposes or grants; the platform refused it."""
    counts: Counter[str] = Counter()
    counts.update(department for at, department in refusals if period.holds(at))
    for department, count in sorted(counts.items()):
        yield Finding(
            "demander", department, "第二十五条",
            "asked beyond purpose or grant, and was refused", "超出目的或授权范围提问，已被拒绝", count=count,
        )  # fmt: skip


def plain(found: Finding) -> dict[str, object]:
    """Return a finding JSON-ready, with the article under which its side answers."""
    return {**asdict(found), "sanction": SANCTIONS[found.side]}
