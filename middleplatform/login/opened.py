"""Puts the logins of one process together, as the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from middleplatform.login.configured import LoginConfig, load
from middleplatform.login.demo import DemoLogins, demo_logins
from middleplatform.login.entrance import Entrance, Performer, TokenBook
from middleplatform.login.failures import Failures
from middleplatform.login.issuer import Issuer
from middleplatform.login.oidc import Oidc
from middleplatform.login.sessions import How, SessionRecord, Sessions
from middleplatform.model.freeze import Scope
from middleplatform.model.request import Subject, same_person
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings
from middleplatform.store import freezes
from middleplatform.store.database import Store

__all__ = ["Login", "open_login"]


@dataclass(frozen=True, slots=True)
class Login:
    """Everything that lets people in.

    Attributes:
        config: What the operator said.
        sessions: Who is logged in.
        entrance: The door.
        oidc: Logins with the provider of identities; None without one.
        demo: Logins of the demonstration; None where this is not one.
    """

    config: LoginConfig
    sessions: Sessions
    entrance: Entrance
    oidc: Oidc | None
    demo: DemoLogins | None


def open_login(
    settings: Settings,
    store: Store,
    desk: Performer,
    tokens: TokenBook,
    personas: Mapping[str, Subject],
    clock: Clock,
    rng: Rng,
) -> Login:
    """Return the logins of this process.

    Args:
        settings: ``login`` names the file that ``configured.load`` reads.
        store: Where sessions are kept.
        desk: Where acts are done.
        tokens: Service tokens.
        personas: Of the demonstration, by name; they get logins only where this is one.
        clock: Time.
        rng: The operating system's generator.

    Raises:
        ConfigError: C003, C006 the file is not usable.
    """
    config = load(settings.login)
    demo = demo_logins(settings, personas, rng)
    provider = config.provider

    def stands(record: SessionRecord) -> bool:
        if _stopped(store, record):
            return False
        match record.how:
            case How.TOKEN:
                return _holds(tokens, record)
            case How.DEMO:
                return demo is not None and record.credential == demo.id
            case How.OIDC:
                return provider is not None and record.credential == provider.issuer

    sessions = Sessions(store, clock, rng, config.bounds, stands)
    failures = Failures(store, clock, config.limits)
    entrance = Entrance(sessions, failures, desk, tokens, clock, demo)
    oidc = None
    if provider is not None:
        oidc = Oidc(Issuer(provider, clock), config.address, store, clock, rng)
    return Login(config, sessions, entrance, oidc, demo)


def _holds(tokens: TokenBook, record: SessionRecord) -> bool:
    """Return whether the token of a session is still there, not withdrawn, and for the same person."""
    found = tokens.record(record.credential)
    return found is not None and found.revoked_at is None and found.subject == record.subject


def _stopped(store: Store, record: SessionRecord) -> bool:
    """Return whether the person was frozen since the session began; who comes in again sees why nothing is answered."""
    frozen = freezes.freezes.c
    with store.reading() as connection:
        found = connection.execute(
            select(frozen.target).where(
                frozen.scope == str(Scope.USER),
                frozen.at >= record.began_at,
                frozen.drill.is_(False),
            )
        )
        return any(same_person(target, record.subject.id) for target in found.scalars())
