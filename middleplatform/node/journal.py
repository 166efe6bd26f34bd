"""The node's own log: what the department answered and refused, for whom, why; no receipt, no answer.

The same format, checks and commands as the platform's log (``audit.log``), under the department's
own key and name. The platform cannot write here, and ``audit reconcile`` holds the two against each
other. An entry holds no row, no value and no count of units.

Reveals: to whoever reads the department's log: questions, who asked, digests, receipts and how many
cells were released. To nobody else: nothing leaves the department by itself.

Spec: docs/spec/audit-log.md, "A node's log".
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.crypto.receipts import ReceiptFields
from middleplatform.errors import AuditError, ConfigError, MiddleplatformError
from middleplatform.model.decision import Obligation
from middleplatform.model.plan import Fragment
from middleplatform.model.query import QueryFacts
from middleplatform.model.record import AuditRecord, Receipt
from middleplatform.model.request import QueryRequest
from middleplatform.ports import Clock, Rng

__all__ = ["NODE_EVENTS", "Journal", "origin"]

NODE_EVENTS = frozenset(
    {"start", "stop", "roster", "policy", "connector", "key", "incident", "snapshot"}
)
"""What may happen to a node itself; ``policy`` is a new bundle, ``snapshot`` a new privacy budget."""

_REFUSALS = ("Q", "P", "D", "X")


def origin(department: str, platform: str) -> str:
    """Return the name of a department's log.

    Args:
        department: Its code, e.g. ``ga``.
        platform: The platform's name, e.g. ``middleplatform.example``; its log's name will do.

    Returns:
        For example ``ga.middleplatform.example/audit``.
    """
    return f"{department}.{platform.removesuffix('/audit')}/audit"


class Journal:
    """A node's log; many threads may use it. Every method but ``taking`` returns once its entry is on disk.

    Args:
        log: Open for writing; closed with the journal.
        department: Whose node it is.
        clock: For the moment of an entry.

    Raises (every method):
        AuditError: A001, the log cannot take the entry: then no answer may be given.
        LimitError: L001, too many entries wait: then no answer may be given either.
    """

    def __init__(self, log: AuditLog, department: str, clock: Clock) -> None:
        self._log, self._department, self._clock = log, department, clock

    @classmethod
    def open(
        cls, state: Path, department: str, platform: str, clock: Clock, rng: Rng, *,
        retention_years: int = 3,
    ) -> Self:  # fmt: skip
        """Open the log in a node's state folder, or begin one; all of it is verified first.

        Files: ``audit.db``, its key ``audit.key`` (mode 0600), its public key ``audit.pub``.

        Args:
            state: The folder.
            department: The node's department.
            platform: As for ``origin``.
            clock: For the moment of an entry.
            rng: For a new key.
            retention_years: At least 3.

        Raises:
            AuditError: A001 cannot be opened, A002 does not verify, A003 in use.
            ConfigError: C006 the key is not valid or bears another name; C003, C011.
        """
        name = origin(department, platform)
        signer = CheckpointSigner.load_or_create(state / "audit.key", name, rng)
        log = AuditLog.open(state / "audit.db", signer, clock, retention_years=retention_years)
        try:
            _publish(state / "audit.pub", [key.text() for key in log.keys])
        except BaseException:
            log.close()
            raise
        return cls(log, department, clock)

    @property
    def log(self) -> AuditLog:
        """Return the log itself, for checkpoints, proofs and witnesses."""
        return self._log

    def taken(self, fragment: Fragment, policy_digest: str) -> Receipt:
        """Enter that the department takes part in a secure sum, before masked words leave.

        A gateway that never ends the round still leaves its trace.
        """
        return self.taking(fragment, policy_digest).result()

    def taking(self, fragment: Fragment, policy_digest: str) -> "Future[Receipt]":
        """Begin to enter what ``taken`` enters; it is on disk once the future has a result, and before any later entry.

        Nothing may leave before that.
        """
        try:
            return self._begin("received", self._fragment(fragment, policy_digest))
        except ValueError as error:
            raise AuditError("A001", detail=str(error)) from None

    def ran(
        self,
        fragment: Fragment,
        fields: ReceiptFields,
        receipt: str,
        *,
        sql: str = "",
        obligations: Sequence[Obligation] = (),
        facts: QueryFacts | None = None,
    ) -> Receipt:
        """Enter what was run and will be released, before it leaves.

        Args:
            fragment: As the gateway signed it.
            fields: What the receipt says: own policy digest, protocol, cells, result digest.
            receipt: Over it, as the gateway will get it.
            sql: As run, with the node's own row filters; the fragment's own text unless said.
            obligations: What the node's bundle added.
            facts: Read from the text; without them the entry is not found by dataset or column.
        """
        body = self._fragment(fragment, fields.policy_digest, fields.fragment_digest)
        body |= _used(facts) | {
            "protocol": fields.protocol,
            "sql_run": sql or fragment.sql,
            "obligations": [[o.kind, o.dataset, o.column, *o.argument] for o in obligations],
            "cells": fields.cells,
            "result_digest": fields.result_digest,
            "receipt": receipt,
            **({"sealed_for": fragment.sealed_for} if fragment.sealed_for else {}),
        }
        return self._append("released", body)

    def ended(
        self, fragment: Fragment | None, error: MiddleplatformError, policy_digest: str = ""
    ) -> Receipt:
        """Enter how a fragment ended that was not answered: refused or failed, by its code."""
        enter = self.refused if error.prefix in _REFUSALS else self.failed
        return enter(fragment, error.code, error.rule, policy_digest)

    def refused(
        self,
        fragment: Fragment | None,
        code: str,
        rule: str = "",
        policy_digest: str = "",
        *,
        digest: str = "",
    ) -> Receipt:
        """Enter that a message was refused.

        Args:
            fragment: None unless the gateway's signature over it was verified.
            code: Of the error.
            rule: Of policy, where one refuses.
            policy_digest: The node's own.
            digest: SHA-256 of the bytes that came, for a message that is no fragment.
        """
        return self._end("refused", fragment, code, rule, policy_digest, digest)

    def failed(
        self,
        fragment: Fragment | None,
        code: str,
        rule: str = "",
        policy_digest: str = "",
        *,
        digest: str = "",
    ) -> Receipt:
        """Enter that a fragment was begun and not answered; as ``refused``."""
        return self._end("failed", fragment, code, rule, policy_digest, digest)

    def own(
        self,
        request: QueryRequest,
        policy_digest: str,
        *,
        facts: QueryFacts | None = None,
        error: MiddleplatformError | None = None,
    ) -> Receipt:
        """Enter a steward's question about the own data, before its answer is shown.

        Neither value nor count nor digest: the answer may be one person's (docs/adr/0013).

        Args:
            request: The question.
            policy_digest: The node's own.
            facts: As for ``ran``.
            error: How it ended, unless it was answered.
        """
        body = {
            "query_id": request.query_id,
            "subject": request.subject.id,
            "department": request.subject.department,
            "recipient": self._department,
            "purpose": request.purpose,
            "project": request.project,
            "protocol": "own",
            "policy_digest": policy_digest,
            "sql": request.sql,
        } | _used(facts)
        if error is None:
            return self._append("released", body)
        event = "refused" if error.prefix in _REFUSALS else "failed"
        return self._append(event, body | {"code": error.code, "rule": error.rule})

    def event(self, kind: str, fields: Mapping[str, object]) -> Receipt:
        """Enter what happened to the node itself.

        Args:
            kind: One of ``NODE_EVENTS``.
            fields: Names, versions, digests and fingerprints; JSON-ready, never data.

        Raises:
            ValueError: Another kind: the caller's mistake.
        """
        if kind not in NODE_EVENTS:
            raise ValueError("unknown event of a node")
        return self._append(kind, dict(fields))

    def close(self) -> None:
        """Write what is queued, then close the log. Closing twice does no harm."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _end(
        self,
        event: str,
        fragment: Fragment | None,
        code: str,
        rule: str,
        policy_digest: str,
        digest: str,
    ) -> Receipt:
        end: dict[str, object] = {"policy_digest": policy_digest, "code": code, "rule": rule}
        if fragment is None:
            return self._append(event, end | ({"message": digest} if digest else {}))
        try:
            return self._enter(event, self._fragment(fragment, policy_digest) | end)
        except ValueError:  # whoever signs a fragment that fits no entry is told of all the same
            return self._append(event, end | {"message": fragment.digest()})

    @staticmethod
    def _fragment(fragment: Fragment, policy_digest: str, digest: str = "") -> dict[str, object]:
        return {
            "query_id": fragment.query_id,
            "fragment": digest or fragment.digest(),
            "attempt": fragment.attempt,
            "number": fragment.number,
            "issued_at": fragment.issued_at,
            "subject": fragment.subject.id,
            "department": fragment.subject.department,
            "roles": sorted(str(role) for role in fragment.subject.roles),
            "regions": list(fragment.subject.regions),
            "purpose": fragment.purpose,
            "project": fragment.project,
            "protocol": fragment.protocol,
            "cohort": list(fragment.cohort),
            "gateway_policy_digest": fragment.policy_digest,
            "policy_digest": policy_digest,
            "sql": fragment.sql,
            **({"noise": fragment.noise} if fragment.noise else {}),
            **({"template": fragment.template} if fragment.template else {}),
        }

    def _append(self, event: str, body: Mapping[str, object]) -> Receipt:
        try:
            return self._enter(event, body)
        except ValueError as error:
            raise AuditError("A001", detail=str(error)) from None

    def _enter(self, event: str, body: Mapping[str, object]) -> Receipt:
        return self._begin(event, body).result()

    def _begin(self, event: str, body: Mapping[str, object]) -> "Future[Receipt]":
        head = {"at": self._clock.now().isoformat(), "node": self._department}
        return self._log.submit(AuditRecord(event, {**body, **head}))


def _used(facts: QueryFacts | None) -> dict[str, object]:
    """Return which datasets and columns were read, as the platform's entries name them."""
    if facts is None:
        return {}
    columns = {f"{use.dataset}.{use.column}" for use in facts.uses if use.dataset}
    return {
        "datasets": list(facts.datasets),
        "columns": sorted(name for name in columns if not name.endswith(".*")),
    }


def _publish(path: Path, keys: Sequence[str]) -> None:
    """Write the public keys, one a line, unless they stand there already.

    Raises:
        ConfigError: C011.
    """
    text = "".join(f"{key}\n" for key in keys)
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            scratch = path.with_name(f".{path.name}.new")
            scratch.write_text(text, encoding="utf-8")
            scratch.replace(path)
    except (OSError, UnicodeError) as error:
        what = ("the log's public key", "日志公钥")
        raise ConfigError("C011", what=what, detail=str(error)) from None
