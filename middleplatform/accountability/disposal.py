"""What became of an answer at its user: effect, storage and disposal, written down by the user's own people.

The platform sees none of it. Who received an answer says it here, for a release at a time; a later note adds to an
earlier one and replaces none. A note is an act with nothing in the store: it stands in the log alone, event ``usage``.

Spec: docs/spec/accountability.md, "Usage records". Decree 809 art. 27 and 29: 应用成效、存储情况、销毁情况.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from middleplatform.accountability.identities import plain_text
from middleplatform.audit.entry import moment
from middleplatform.audit.reader import LogView
from middleplatform.audit.search import event_needle
from middleplatform.errors import AuditError, PolicyError, QueryError
from middleplatform.governance.desk import Desk
from middleplatform.model.request import Role, Subject
from middleplatform.store.acts import Act

__all__ = ["FIELDS", "UsageNote", "notes", "write_note"]

FIELDS = {"effect": "应用成效", "storage": "存储情况", "disposal": "销毁情况"}
"""What a note may say, and what art. 29 calls it."""


@dataclass(frozen=True, slots=True)
class UsageNote:
    """One note.

    Attributes:
        release: Leaf index of the answer.
        at: When, UTC.
        by: Login.
        department: Of the login.
        said: Of ``FIELDS``, those that it says, in words.
    """

    release: int
    at: datetime
    by: str
    department: str
    said: Mapping[str, str]


def write_note(
    desk: Desk, log: LogView, release: int, said: Mapping[str, str], who: Subject
) -> None:
    """Write a note into the log.

    Args:
        desk: Brings the act into the log.
        log: Holds the release.
        release: Its leaf index.
        said: Of ``FIELDS``; names nobody by number.
        who: Analyst or steward of the department that asked for or received the answer.

    Raises:
        PolicyError: P004 in neither role.
        QueryError: Q041 there is no such release for ``who``; Q040 nothing is said, or an identity number.
        AuditError: The log cannot take it.
    """
    if not {Role.ANALYST, Role.DEPARTMENT_STEWARD} & who.roles:
        raise PolicyError("P004", what=("write a usage record", "填写使用记录"))
    _received(log, release, who)
    kept = {
        name: plain_text(said.get(name, ""), (name, chinese)) for name, chinese in FIELDS.items()
    }
    kept = {name: text for name, text in kept.items() if text}
    if not kept:
        raise QueryError("Q040", what=("the record says nothing", "记录内容为空"))
    body = {"subject": who.id, "department": who.department, "release": release, "said": kept}

    def decide(_: Connection, __: int) -> Act:
        return Act("usage", body, ())

    desk.perform(decide)


def _received(log: LogView, release: int, who: Subject) -> None:
    """Refuse whoever did not get the answer as if there were none."""
    try:
        record = log.entry(release).record
    except AuditError as error:
        if error.code != "A004":
            raise
        record = None
    body = {} if record is None else record.body
    mine = who.department in (body.get("department"), body.get("recipient"))
    if record is None or record.event != "released" or not mine:
        raise QueryError("Q041", what=(f"release {release}", f"发布记录 {release}"))


def notes(log: LogView, releases: Iterable[int]) -> Mapping[int, tuple[UsageNote, ...]]:
    """Return the notes of some releases, oldest first, by leaf index."""
    wanted = frozenset(releases)
    found: dict[int, tuple[UsageNote, ...]] = {}
    for entry in log.holding(event_needle("usage")):
        record = entry.record
        release, said = record.body.get("release"), record.body.get("said")
        if record.event != "usage" or release not in wanted or not isinstance(said, dict):
            continue
        assert isinstance(release, int), "it is among the wanted"
        note = UsageNote(
            release, moment(record.body.get("at")), str(record.body.get("subject")),
            str(record.body.get("department")), {name: str(said[name]) for name in FIELDS if name in said},
        )  # fmt: skip
        found[release] = (*found.get(release, ()), note)
    return found
