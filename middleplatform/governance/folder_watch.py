"""Watches a folder of YAML and proposes its state: an editor stays the place where policy is written.

What is taken is what ``propose`` takes: the same bytes have the same digest, whichever way they come. A state counts
when it has not changed for a while and can be read whole, so nothing half written is proposed; one that does not load
or whose tests are red is told and left alone until it changes again.

Spec: docs/spec/policy-lifecycle.md, "Files".
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from middleplatform.errors import ConfigError, MiddleplatformError
from middleplatform.governance.lifecycle import OPEN, Lifecycle
from middleplatform.governance.written import read_folder
from middleplatform.model.request import Subject
from middleplatform.policy.written import content_digest

__all__ = ["SETTLE_S", "FolderWatch", "Outcome", "What"]

SETTLE_S = 2.0
"""Seconds for which nothing may have changed."""

Opening = Callable[[], AbstractContextManager[Lifecycle]]


class What(StrEnum):
    """What came of a state of the folder."""

    PROPOSED = "proposed"
    PUBLISHED = "published"
    PENDING = "pending"
    IN_FORCE = "in_force"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a state of the folder.

    Attributes:
        what: Proposed, published, proposed already, in force already, or refused.
        content: Digest of the files; empty where they cannot be read.
        proposal: Its number; 0 for none.
        version: That came into force; 0 for none.
        missing: Whether approvals are missing.
        error: Why it was refused.
    """

    what: What
    content: str
    proposal: int = 0
    version: int = 0
    missing: bool = False
    error: MiddleplatformError | None = None


class FolderWatch:
    """One officer's watch over one folder.

    Args:
        opening: Opens the life-cycle for one act, so that the log is held no longer.
        person: Who proposes.
        folder: Of the bundle.
        reason: For those who approve and for the log.
        publishes: Publish at once what needs nobody else.
        settle_s: Seconds for which nothing may have changed.
    """

    def __init__(
        self,
        opening: Opening,
        person: Subject,
        folder: Path,
        reason: str,
        *,
        publishes: bool = False,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._opening, self._person, self._folder = opening, person, folder
        self._reason, self._publishes, self._settle_s = reason, publishes, settle_s
        self._seen, self._since, self._done = "", 0.0, ""
        self._mine = 0

    def look(self, now: float) -> Outcome | None:
        """Look at the folder once; return what came of its state, if anything did.

        Args:
            now: Seconds of a clock that never goes back.

        Raises:
            MiddleplatformError: The store or the log cannot be had; looking again is right.
        """
        files: Mapping[str, str] = {}
        unread = None
        try:
            files = read_folder(self._folder)
            content = content_digest(files)
        except ConfigError as error:
            content, unread = f"unread: {error.public_message} {error.detail}", error
        if content != self._seen:
            self._seen, self._since = content, now
        if content == self._done or now - self._since < self._settle_s:
            return None
        found = Outcome(What.REFUSED, "", error=unread) if unread else self._dealt(files, content)
        self._done = content
        return found

    def _dealt(self, files: Mapping[str, str], content: str) -> Outcome:
        with self._opening() as life:
            known = [each for each in life.versions()[-1:] if each.content == content]
            if known:
                return Outcome(What.IN_FORCE, content, version=known[0].number)
            standing = life.compared().number
            same = [
                each.number
                for each in life.proposals()
                if each.state in OPEN and (each.content, each.base) == (content, standing)
            ]
            if same:
                missing = bool(life.weigh(same[-1]).missing)
                return Outcome(What.PENDING, content, same[-1], missing=missing)
            try:
                number = life.propose(self._person, files, self._reason)
            except MiddleplatformError as error:
                if error.prefix == "A" or error.code in ("C011", "C015"):
                    raise
                return Outcome(What.REFUSED, content, error=error)
            self._replace(life, number)
            missing = bool(life.weigh(number).missing)
            if missing or not self._publishes:
                return Outcome(What.PROPOSED, content, number, missing=missing)
            version = life.publish(self._person, number)
            return Outcome(What.PUBLISHED, content, number, version)

    def _replace(self, life: Lifecycle, number: int) -> None:
        """Withdraw the proposal of the folder's earlier state: nobody is to approve what is no longer written so."""
        before = {each.number: each for each in life.proposals()}.get(self._mine)
        if before is not None and before.state in OPEN:
            life.withdraw(self._person, self._mine, f"replaced by proposal {number}")
        self._mine = number
