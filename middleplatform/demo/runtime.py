"""Puts a platform together: gateway and audit log, and the departments' nodes where they lie.

With a trust folder in the settings, nodes are processes of their own, on any machine, reached over mutual TLS; without
one, the demonstration's nodes run in this process, through the same interfaces.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from middleplatform import catalog as catalogs
from middleplatform import policy as policies
from middleplatform.access.system import SystemClock, SystemRng, keep_freed_memory
from middleplatform.audit.log import AuditLog
from middleplatform.audit.opened import open_log
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.demo import build
from middleplatform.dispatch.dispatcher import KEY_HOLDER, Dispatcher
from middleplatform.dispatch.http_transport import HttpTransport
from middleplatform.dispatch.link import InProcessLink
from middleplatform.dispatch.transport import Transport
from middleplatform.dispatch.wire_link import Caller, WireLink
from middleplatform.enrolment.passphrases import from_file
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import ConfigError, MiddleplatformError, PolicyError
from middleplatform.gateway import Gateway
from middleplatform.gateway.entries import ended, received, released
from middleplatform.gateway.granting import check_open
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.ledger.history import History, SharedHistory
from middleplatform.ledger.keys import KeyRegistry
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle
from middleplatform.model.request import QueryRequest, Subject
from middleplatform.model.result import Answer
from middleplatform.node.open import OpenNode, check_packages, open_connector, open_node
from middleplatform.node.own import own_answer
from middleplatform.node.service import GATEWAY, Node
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.ports import Clock, Progress, Rng
from middleplatform.settings import Settings

if TYPE_CHECKING:  # the store is imported where there is one
    from middleplatform.governance.desk import Desk
    from middleplatform.governance.lifecycle import Lifecycle, Standing
    from middleplatform.governance.membership import Membership
    from middleplatform.governance.telling import Telling

__all__ = ["PERSONAS", "Platform", "SystemClock", "SystemRng", "open_platform"]


def _folder() -> Traversable:
    return example("demo")


PERSONAS: Mapping[str, Subject] = suite.personas(_folder() / "personas.yaml")


@dataclass
class Platform:
    """A running platform; a context manager.

    Attributes:
        gateway: The way in.
        settings: What it was opened with.
        nodes: Those that run in this process.
        transport: To those that do not; None when there are none.
        lifecycle: Of its policy; None without a store.
        standing: Policy in force when it was opened.
        telling: What nodes are told; None without a store.
        member: This process's place where several share the store; else None.
        detect: Looks under a policy for who probes, in what the log says since the last look.
    """

    gateway: Gateway
    settings: Settings
    nodes: Mapping[str, OpenNode]
    transport: Transport | None = None
    lifecycle: "Lifecycle | None" = None
    standing: "Standing | None" = None
    telling: "Telling | None" = None
    member: "Membership | None" = None
    detect: Callable[[Bundle], None] = field(default=lambda _: None)

    def publish(self, bundle: Bundle) -> None:
        """Put another bundle in force: on the event loop, so that every question sees the one or the other whole."""
        if self.telling is not None and not self.telling.covers(bundle):
            self.telling.read()
        self.gateway.bundle = bundle

    def own(self, request: QueryRequest) -> Answer:
        """Have a steward's question answered inside the own department; the log is told that it was asked.

        Raises:
            MiddleplatformError: Refused or failed; logged as well.
        """
        gateway = self.gateway
        gateway.audit.append(received(request, inside=True))
        try:
            self._check_open(request)
            found = own_answer(self._own_node(request), request, gateway.database)
            self._check_open(request, found.query.facts.datasets)
        except MiddleplatformError as error:
            at = gateway.clock.now().isoformat()
            entry = ended(request, error, at, gateway.bundle.digest)
            error.audit_index = gateway.audit.append(entry).index
            raise
        entry = released(
            request,
            found.decision,
            found.plan,
            found.query.facts,
            found.release,
            [{}] * len(found.plan.blocks),
            gateway.clock.now().isoformat(),
            gateway.catalog.digest,
        )
        receipt = gateway.audit.append(entry)
        return Answer(request.query_id, found.release, "own", found.decision, receipt, 1.0)

    def _check_open(self, request: QueryRequest, datasets: Iterable[str] = ()) -> None:
        gateway = self.gateway
        found = gateway.grants.in_force(gateway.bundle, gateway.clock.now())
        check_open(found.freezes, request, gateway.catalog, datasets)

    def _own_node(self, request: QueryRequest) -> Node:
        found = self.nodes.get(request.subject.department)
        if found is None:
            raise PolicyError(
                "P004", what=("ask own data without a node", "没有节点却查询自有数据")
            )
        return found.node

    def close(self) -> None:
        """Close everything, log last."""
        for node in self.nodes.values():
            node.close()
        if self.transport is not None:
            self.transport.close()
        self.gateway.questions.close()
        self.gateway.close()
        self.gateway.audit.close()
        if self.lifecycle is not None:
            self.lifecycle.desk.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_platform(
    settings: Settings,
    progress: Progress | None = None,
    clock: Clock | None = None,
    rng: Rng | None = None,
    *,
    governed: bool = False,
) -> Platform:
    """Open the platform; with the shipped catalogue, the demonstration's departments are built where missing.

    In force is the newest published policy, else the bundle of the settings.

    Args:
        settings: What an operator sets.
        progress: Hears how far it is.
        clock: The machine's unless given.
        rng: The operating system's unless given.
        governed: Make the store where there is none yet, so that what is published later is seen.

    Raises:
        ConfigError: C001 to C011: what is wrong, and where.
        AuditError: A002 the log does not verify, A003 it is in use.
    """
    check_packages()
    clock, rng = clock or SystemClock(), rng or SystemRng()
    catalog = catalogs.load(settings.catalog or _folder() / "catalog")
    bundle = policies.load(settings.bundle or _folder(), catalog)
    if settings.catalog is None and settings.trust is None:
        build.build(settings.data, progress)
    state = _state(settings.state)
    with ExitStack() as opened:
        audit, member = _log(settings, clock, rng, serving=governed)
        opened.callback(audit.close)
        if member is not None and governed:
            _agree(settings, member, catalog, clock)
        lifecycle = None
        if governed or settings.store or (state / "store.db").exists():
            from middleplatform.governance import opened as governance  # noqa: PLC0415 - slow to import

            lifecycle = governance.lifecycle(settings, catalog, bundle, audit, clock, rng)
            opened.callback(lifecycle.desk.store.close)
        standing = None if lifecycle is None else lifecycle.standing()
        rules = bundle if standing is None else standing.bundle
        given = (catalog, rules, audit, state, clock, rng)
        if settings.trust is not None:
            platform = _reached(settings, settings.trust, *given)
        else:
            platform = _assembled(settings, *given)
        platform.lifecycle, platform.standing, platform.member = lifecycle, standing, member
        if member is not None:
            _share(platform.gateway, member)
        if lifecycle is not None:
            _look_before(platform, lifecycle.desk, detect=governed)
            _tell_nodes(platform, lifecycle, clock)
        opened.pop_all()
        return platform


def _log(
    settings: Settings, clock: Clock, rng: Rng, *, serving: bool
) -> "tuple[AuditLog, Membership | None]":
    """Open the log: that of a file without loading what a shared one needs."""
    if not settings.store.startswith("postgresql"):
        return open_log(settings, clock, rng), None
    from middleplatform.governance import shared  # noqa: PLC0415 - slow to import

    return shared.open_log(settings, clock, rng, serving=serving)


def _agree(settings: Settings, member: "Membership", catalog: Catalog, clock: Clock) -> None:
    """Refuse to serve beside gateways that work with another catalogue."""
    from middleplatform.governance import shared  # noqa: PLC0415 - slow to import

    folder = settings.catalog or _folder() / "catalog"
    shared.agree(member, catalog, shared.texts_of(folder), clock)


def _share(gateway: Gateway, member: "Membership") -> None:
    """Let a gateway work with the questions, the sizes and the keys of all that share its store."""
    from middleplatform.store.alike import SharedQuestions  # noqa: PLC0415 - slow to import
    from middleplatform.store.sealing_keys import SharedKeys  # noqa: PLC0415 - the same

    gateway.questions.close()
    gateway.questions = SharedHistory(SharedQuestions(member.store))
    if gateway.sealing is not None:
        gateway.sealing.registry.close()
        gateway.sealing.registry = KeyRegistry(SharedKeys(member.store))


def _look_before(platform: Platform, desk: "Desk", *, detect: bool) -> None:
    """Have grants and freezes looked at for every question, and probing before it where that is asked for."""
    from middleplatform.governance.detection import Detector  # noqa: PLC0415 - slow to import
    from middleplatform.governance.grants_in_force import GrantsInForce  # noqa: PLC0415 - the same

    if detect:
        platform.detect = Detector(desk).look
    entering = desk.entering
    if platform.member is not None:
        from middleplatform.governance.entering import SharedEntering  # noqa: PLC0415 - the same

        entering = SharedEntering(desk.store, platform.gateway.audit, alone=False)
    platform.gateway.grants = GrantsInForce(desk.store, entering, platform.detect)


def _tell_nodes(platform: Platform, lifecycle: "Lifecycle", clock: Clock) -> None:
    """Have every node handed what is published and granted, before its next fragment."""
    from middleplatform.governance.grants_in_force import GrantsInForce  # noqa: PLC0415 - slow to import
    from middleplatform.governance.telling import Telling  # noqa: PLC0415 - the same

    grants, dispatcher = platform.gateway.grants, platform.gateway.dispatcher
    assert isinstance(grants, GrantsInForce), "a platform with a store"
    platform.telling = Telling(lifecycle, grants, dispatcher.identity, clock)
    dispatcher.hand_out(platform.telling)


def _state(folder: Path) -> Path:
    try:
        (folder / "nodes").mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError:
        raise ConfigError("C011", what=str(folder)) from None
    return folder


def _departments(catalog: Catalog) -> list[str]:
    return sorted({name for dataset in catalog.datasets.values() for name in dataset.held_by})


def _reached(  # noqa: PLR0913, PLR0917 - as _assembled
    settings: Settings,
    folder: Path,
    catalog: Catalog,
    bundle: Bundle,
    audit: AuditLog,
    state: Path,
    clock: Clock,
    rng: Rng,
) -> Platform:
    """Return a platform whose nodes are processes of their own."""
    trust = Trust.open(
        folder,
        GATEWAY,
        clock,
        None if settings.passphrase_file is None else from_file(settings.passphrase_file),
    )
    keep_freed_memory()
    transport = HttpTransport(trust, trust.explain)

    def roster(after: int) -> tuple[int, bytes] | None:
        trust.refresh()
        number = trust.roster.sequence
        return (number, trust.roster_document()) if number > after else None

    caller = Caller(transport, trust.identity, trust.pins, clock, rng, settings.deadline_s, roster)
    # A key holder that is enrolled takes part in every private join.
    reached = [*_departments(catalog), *({KEY_HOLDER} & trust.pins.names)]
    links = {name: WireLink(name, caller) for name in reached}
    dispatcher = Dispatcher(links, trust.identity, trust.pins)
    gateway = _gateway(
        settings, catalog, bundle, audit, dispatcher, trust.identity, state, clock, rng
    )
    return Platform(gateway, settings, {}, transport)


def _gateway(  # noqa: PLR0913, PLR0917 - as _assembled
    settings: Settings,
    catalog: Catalog,
    bundle: Bundle,
    audit: AuditLog,
    dispatcher: Dispatcher,
    identity: IdentityKey,
    state: Path,
    clock: Clock,
    rng: Rng,
) -> Gateway:
    questions = History(state / "questions.db")
    registry = KeyRegistry(state / "keys.db")
    desk = SealingDesk(registry, audit, identity, clock, dispatcher.pins)
    return Gateway(
        catalog,
        bundle,
        audit,
        dispatcher,
        questions,
        clock,
        rng,
        settings.queries_max,
        sealing=desk,
    )


def _assembled(
    settings: Settings,
    catalog: Catalog,
    bundle: Bundle,
    audit: AuditLog,
    state: Path,
    clock: Clock,
    rng: Rng,
) -> Platform:
    departments = _departments(catalog)
    gateway_key = IdentityKey.load_or_create(state / "gateway.key", rng)
    keys = {
        name: IdentityKey.load_or_create(state / "nodes" / f"{name}.key", rng)
        for name in departments
    }
    pins = PinnedKeys(
        {GATEWAY: gateway_key.public_key, **{name: key.public_key for name, key in keys.items()}}
    )
    nodes: dict[str, OpenNode] = {}
    try:
        for name in departments:
            connector = open_connector(name, settings.data / f"{name}.duckdb", settings)
            nodes[name] = open_node(
                name,
                connector,
                catalog,
                bundle,
                keys[name],
                pins,
                state / "nodes" / name,
                clock,
                rng,
                settings,
            )
        links = {
            name: InProcessLink(each.node, each.rounds, settings.deadline_s, each.joins)
            for name, each in nodes.items()
        }
        dispatcher = Dispatcher(links, gateway_key, pins)
        gateway = _gateway(
            settings, catalog, bundle, audit, dispatcher, gateway_key, state, clock, rng
        )
    except BaseException:
        for each in nodes.values():
            each.close()
        raise
    return Platform(gateway, settings, nodes)
