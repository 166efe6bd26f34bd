"""The policies that a node holds: its department's own file, published versions, and the grants of this moment.

A document counts when the gateway signed it, when it is the next or a later version, and when it loads over the node's
own catalogue. What is enforced is the stricter of the department's own file and the newest document. Versions before
it count for a while, for questions that began under them.

On disk each version is one file, written beside and renamed: after a kill the newest whole file is in force, and no
version is in force that the node's log has no entry of.

Spec: docs/spec/node.md, "Policy".

Reveals:
    To the gateway: which version is held and whether a document is refused. To nobody anything of data.
"""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Lock

from middleplatform import policy as policies
from middleplatform.authorization.templates import opened, within
from middleplatform.crypto.identity import SIGNATURE_BYTES, PinnedKeys
from middleplatform.crypto.key_files import replace_private
from middleplatform.errors import ConfigError, MiddleplatformError, ProtocolError
from middleplatform.model.catalog import Catalog
from middleplatform.model.plan import Fragment
from middleplatform.model.policy import Bundle
from middleplatform.model.query import QueryFacts
from middleplatform.model.request import Subject
from middleplatform.policy import evaluate
from middleplatform.policy.joining import Given, fitting, joined
from middleplatform.policy.stricter import completed, held_by, stricter, stricter_points
from middleplatform.policy.templates import named, number, stands
from middleplatform.policy.written import Written
from middleplatform.ports import Clock
from middleplatform.wire.policies import GRANTS, POLICY, GrantsDocument, PolicyDocument

__all__ = ["KEPT_S", "Held", "HeldPolicies", "Rules", "with_template"]

_LOG = logging.getLogger("middleplatform.node")
_GATEWAY = "gateway"
_GRANTS_FILE = "grants"
_POINTS_MAX = 50
_VIEWS_MAX = 16
_OLDER_MAX = 8
"""Versions before the newest: a gateway that publishes without end must not fill the memory."""

KEPT_S = 900
"""Seconds for which a version counts after a newer one was taken: longer than any question lasts."""
GRANTS_S_MAX = 600
"""Seconds beyond which no grants document may claim to count."""

Enter = Callable[[Mapping[str, object]], object]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a fragment is judged by.

    Attributes:
        merged: The stricter of all, field by field.
        document: The published version, or what there is in its place.
        own: The department's own file, completed; None where it says the same.
    """

    merged: Bundle
    document: Bundle
    own: Bundle | None = None

    @property
    def each(self) -> tuple[Bundle, ...]:
        """All bundles that must permit."""
        return (self.merged,) if self.own is None else (self.merged, self.own, self.document)


@dataclass(frozen=True, slots=True)
class Held:
    """One version as this node enforces it.

    Attributes:
        number: Of the version; 0 for what the node has by itself.
        content: Digest of the files.
        digest: Of the published rules: what fragments name.
        taken: When this node took it.
        rules: Without the grants of the moment.
        points: Where the department's own file is stricter, at most 50.
    """

    number: int
    content: str
    digest: str
    taken: datetime
    rules: Rules
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _State:
    """Swapped whole, so that a thread sees the old or the new."""

    newest: Held | None
    older: tuple[tuple[Held, datetime], ...] = ()
    grants: GrantsDocument | None = None
    views: dict[tuple[int, int], Rules] = field(default_factory=dict)


class HeldPolicies:
    """Safe between threads.

    Args:
        department: Whose node it is.
        catalog: Its own.
        own: The department's own file; what is enforced while no document came.
        pins: With the gateway's key.
        clock: Of this machine.
        enter: Enters an event of the node's log, on disk when it returns.
        folder: Of the documents; ``None`` keeps them in memory.
        own_grants: Only grants that stand in the own file count.
        trusting: The own file binds only until the first document comes: for nodes inside the gateway's process.
    """

    def __init__(  # noqa: PLR0913 - all that it works with
        self,
        department: str,
        catalog: Catalog,
        own: Bundle,
        pins: PinnedKeys,
        clock: Clock,
        enter: Enter,
        *,
        folder: Path | None = None,
        trusting: bool = False,
        own_grants: bool = False,
    ) -> None:
        self._department, self._catalog, self._own = department, catalog, own
        self._pins, self._clock, self._enter = pins, clock, enter
        self._folder, self._trusting, self._own_grants = folder, trusting, own_grants
        self._held_here = held_by(department, catalog)
        self._least = 0
        self._lock = Lock()
        begun = Held(0, "", own.digest, clock.now(), Rules(own, own))
        self._state = _State(begun)
        if folder is not None:
            self._read(folder)

    # --- what counts ----------------------------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The newest version held; 0 for none."""
        newest = self._state.newest
        return 0 if newest is None else newest.number

    @property
    def newest(self) -> Held | None:
        """What is in force; None where what was in force no longer loads: then nothing is."""
        return self._state.newest

    def find(self, digest: str) -> Held | None:
        """Return the version of a question that began under rules of this digest.

        While no document ever came there is one bundle, the department's own, for all questions.
        """
        state = self._state
        newest, now = state.newest, self._clock.now()
        if newest is None or newest.number == 0 or newest.digest == digest:
            return newest
        return next(
            (
                held
                for held, gone in state.older
                if held.digest == digest and now - gone <= timedelta(seconds=KEPT_S)
            ),
            None,
        )

    def rules(self, held: Held) -> Rules:
        """Return the rules of a version with the grants of this moment."""
        state = self._state
        if state.grants is None or (self._own_grants and held.number == 0):
            return held.rules
        number = state.grants.number if self._clock.now() < state.grants.until else 0
        found = state.views.get((held.number, number))
        if found is None:
            given = state.grants.grants if number else ()
            found = _with_grants(held.rules, given, own_too=not self._own_grants)
            if len(state.views) > _VIEWS_MAX:
                state.views.clear()
            state.views[held.number, number] = found
        return found

    def unchanged(self, held: Held, ids: Collection[str], who: Subject, purpose: str) -> bool:
        """Say whether the grants of these numbers still hold for a person: some may have been stopped meanwhile.

        Reveals:
            Nothing: for the node's own check.
        """
        merged, now = self.rules(held).merged, self._clock.now()
        active = {grant.id for grant in evaluate.active_grants(merged, who, purpose, now)}
        template, newest = merged.templates.get(named(ids)), self._state.newest
        if (
            template is not None
            and newest is not None  # a later version may have taken it out, or changed it
            and newest.rules.merged.templates.get(template.name) == template
            and stands(template, who, purpose, now)
        ):
            active.add(number(template))
        return set(ids) <= active

    def status(self) -> Mapping[str, object]:
        """Return what a status tells: versions and digests, and where the own file is stricter.

        Reveals:
            To who may ask for a status: these.
        """
        newest, grants = self._state.newest, self._state.grants
        if newest is None:
            return {"version": 0, "refusing": True}
        return {
            "version": newest.number,
            "content": newest.content,
            "digest": newest.digest,
            "own_digest": self._own.digest,
            "stricter": list(newest.points),
            "grants": 0 if grants is None else len(grants.grants),
        }

    # --- what comes -----------------------------------------------------------------------------------------------

    def take(self, raw: bytes, signature: bytes) -> bool:
        """Take a published version; say whether it is new here.

        Raises:
            ProtocolError: X009 not signed by the gateway, malformed, older, another one of the same number, not the
                follower of the one before, or not loadable over this node's catalogue; what is in force stays so.
            AuditError: A001 the log cannot take the entry; then too.
            ConfigError: C011 the disk; then too.

        Reveals:
            To the gateway: whether it is refused, and for which of these reasons.
        """
        document = self._policy(raw, signature)
        with self._lock:
            state = self._state
            if not self._follows(document, state):
                return False
            now = self._clock.now()
            held = self._held(document, now)
            self._enter({
                "action": "taken", "version": held.number, "content": held.content,
                "digest": held.digest, "own_digest": self._own.digest,
                "enforced": held.rules.merged.digest, "stricter": list(held.points),
                "document": sha256(raw).hexdigest(), "published_at": document.at.isoformat(),
            })  # fmt: skip
            if self._folder is not None:
                content = f"{now.isoformat()}\n".encode() + signature + raw
                replace_private(self._folder / _name(document.number), content)
            self._swap(held, state, now)
        return True

    def take_grants(self, raw: bytes, signature: bytes) -> bool:
        """Take the grants of a moment, in the place of all earlier ones; say whether the document is new here.

        Raises:
            ProtocolError: X009 not signed by the gateway, malformed, older than the one held, or over already.
            AuditError: A001. ConfigError: C011.

        Reveals:
            To the gateway: whether it is refused.
        """
        document = self._grants(raw, signature)
        now = self._clock.now()
        with self._lock:
            state = self._state
            before = state.grants
            if before is not None and document.number <= before.number:
                if document == before:
                    return False
                raise self._refused("older grants than those held", "授权清单早于现有清单")
            most = timedelta(seconds=GRANTS_S_MAX)
            if not (now < document.until <= now + most and document.at <= now + most):
                raise self._refused("grants of another time", "授权清单不在有效时间内")
            if before is None or before.grants != document.grants:
                ids = sorted(grant.id for _, grant in document.grants)
                digest = sha256("\n".join(ids).encode()).hexdigest()
                self._enter({"action": "grants", "grants": len(ids), "digest": digest})
            if self._folder is not None:
                replace_private(self._folder / _GRANTS_FILE, signature + raw)
            self._state = replace(state, grants=document, views={})
        return True

    # --- how ------------------------------------------------------------------------------------------------------

    def _policy(self, raw: bytes, signature: bytes) -> PolicyDocument:
        try:
            self._pins.verify(_GATEWAY, POLICY, raw, signature)
            return PolicyDocument.from_bytes(raw)
        except ProtocolError as error:
            raise self._refused("it is forged or damaged", "文件被伪造或已损坏", error) from None

    def _grants(self, raw: bytes, signature: bytes) -> GrantsDocument:
        try:
            self._pins.verify(_GATEWAY, GRANTS, raw, signature)
            return GrantsDocument.from_bytes(raw)
        except ProtocolError as error:
            raise self._refused("it is forged or damaged", "文件被伪造或已损坏", error) from None

    def _follows(self, document: PolicyDocument, state: _State) -> bool:
        """Say whether a document is later than what is held; one that is held already is not, and is no offense."""
        known = {held.number: held.content for held, _ in state.older}
        newest = state.newest
        if newest is not None:
            known[newest.number] = newest.content
        last = max(known, default=0)
        if newest is not None and (document.number, document.content) == (last, newest.content):
            return False
        if document.number <= last or document.number < self._least:
            raise self._refused("it is older than the version held, or another of its number",
                                "版本不新于现有版本，或同号不同内容")  # fmt: skip
        before = known.get(document.number - 1)
        if document.number > 1 and before is not None and before != document.previous:
            raise self._refused("it does not follow the version held", "与现有版本不相衔接")
        return True

    def _held(self, document: PolicyDocument, taken: datetime) -> Held:
        try:
            published = policies.load(Written("bundle", document.files), self._catalog)
        except (MiddleplatformError, RecursionError) as error:
            known = error if isinstance(error, MiddleplatformError) else None
            raise self._refused("it does not load over this department's catalogue",
                                "无法按本部门目录加载", known) from None  # fmt: skip
        rules = Rules(published, published)
        points: tuple[str, ...] = ()
        if not self._trusting and (self._own_grants or self._own.digest != published.digest):
            own = completed(self._own, published, self._held_here)
            if self._own_grants:
                own = replace(own, grants=self._own.grants, templates=self._own.templates)
            merged = stricter(own, published)
            rules = Rules(merged, published, own)
            points = stricter_points(merged, published, _POINTS_MAX)
        return Held(document.number, document.content, published.digest, taken, rules, points)

    def _swap(self, held: Held, state: _State, now: datetime) -> None:
        alive = tuple(
            (each, gone) for each, gone in state.older
            if now - gone <= timedelta(seconds=KEPT_S) and each.number != held.number
        )  # fmt: skip
        before = () if state.newest is None else ((state.newest, now),)
        self._state = _State(held, (*before, *alive)[:_OLDER_MAX], state.grants)
        self._prune({each.number for each, _ in self._state.older} | {held.number})

    def _prune(self, kept: set[int]) -> None:
        """Remove files of versions that no question can name any more; one that stays does no harm."""
        if self._folder is None:
            return
        for path in self._folder.glob("*.version"):
            if int(path.stem) not in kept:
                path.unlink(missing_ok=True)

    def _read(self, folder: Path) -> None:
        """Read what an earlier run has taken; a file that is not whole was never in force."""
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            names = sorted(folder.glob("*.version"))
        except OSError as error:
            raise ConfigError("C011", what=str(folder), detail=str(error)) from None
        for path in names:
            self._read_version(path)
        file = folder / _GRANTS_FILE
        if file.exists():
            raw = file.read_bytes()[SIGNATURE_BYTES:]
            try:
                self._state = replace(self._state, grants=GrantsDocument.from_bytes(raw))
            except ProtocolError:
                _LOG.warning("the grants that were held cannot be read; new ones will come")

    def _read_version(self, path: Path) -> None:
        """Take up a version again. Its signature was checked when it came: the gateway's key may be another now."""
        try:
            head, _, rest = path.read_bytes().partition(b"\n")
            document = PolicyDocument.from_bytes(rest[SIGNATURE_BYTES:])
            held = self._held(document, datetime.fromisoformat(head.decode()))
        except (MiddleplatformError, ValueError) as error:
            detail = getattr(error, "detail", "") or str(error)
            _LOG.error("policy %s does not load, so nothing is answered: %s", path.stem, detail)
            self._least = int(path.stem)
            older = self._state.older
            if self._state.newest is not None:
                older = ((self._state.newest, self._clock.now()), *older)
            self._state = replace(self._state, newest=None, older=older)
            return
        before = self._state.newest
        gone = () if before is None else ((before, held.taken),)
        self._state = replace(self._state, newest=held, older=(*gone, *self._state.older))

    def _refused(
        self, english: str, chinese: str, error: MiddleplatformError | None = None
    ) -> ProtocolError:
        detail = "" if error is None else f"{error.public_message} {error.detail}"
        return ProtocolError(
            "X009", department=self._department, what=(english, chinese), detail=detail
        )


def _name(number: int) -> str:
    return f"{number:012d}.version"


def _with_grants(rules: Rules, given: tuple[Given, ...], *, own_too: bool) -> Rules:
    def those(bundle: Bundle) -> Bundle:
        return joined(bundle, fitting(bundle, given))

    document = those(rules.document)
    merged = document if rules.merged is rules.document else those(rules.merged)
    own = rules.own if rules.own is None or not own_too else those(rules.own)
    return Rules(merged, document, own)


def with_template(rules: Rules, fragment: Fragment, facts: QueryFacts, catalog: Catalog) -> Rules:
    """Return the rules of a fragment whose question is one of an approved template, as the gateway says.

    A fragment does not show its question's form, so that is the gateway's to check; but one that uses anything which no
    statement of the template uses so is not of it. What the template opens, and to whom, is read from the published
    version. Under ``grants: own`` a template that the own file has otherwise opens nothing; nor does one where the
    gateway's rules are others than this node's: then nobody has checked that form.

    Args:
        rules: Of the version that the question began under.
        fragment: Names the template, or none, and the gateway's rules.
        facts: Of the fragment's statement.
        catalog: The node's own.

    Reveals:
        Nothing: for the node's own check.
    """
    document, name = rules.document, fragment.template
    template = document.templates.get(name)
    if template is None or fragment.policy_digest != document.digest:
        return rules
    if not within(facts, template, document, catalog):
        return rules

    def those(bundle: Bundle) -> Bundle:
        return opened(bundle, name, catalog, by=document)

    ruled = those(document)
    merged = ruled if rules.merged is document else those(rules.merged)
    return Rules(merged, ruled, None if rules.own is None else those(rules.own))
