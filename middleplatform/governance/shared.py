"""Opens what a platform enters its acts and answers in: a log in a file, or one that several gateways share.

Which of them is for the setting ``store``: where it names a PostgreSQL, log, tokens, published keys, near-duplicate
questions and the table of questions lie there, and several gateways behave as one.

Spec: docs/spec/shared-store.md.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.resources.abc import Traversable

from middleplatform.access.tokens import TokenStore
from middleplatform.audit.keys import CheckpointSigner, VerifierKey
from middleplatform.audit.log import AuditLog
from middleplatform.audit.opened import open_log as open_file
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.audit.shared_log import begun, open_shared, read_shared
from middleplatform.errors import ConfigError, QueryError
from middleplatform.governance.membership import COMMAND, GATEWAY, Membership
from middleplatform.model.catalog import Catalog
from middleplatform.ports import Clock, Rng
from middleplatform.settings import Settings
from middleplatform.store import catalogs, leases
from middleplatform.store.acts import hand_over
from middleplatform.store.database import Store, url_of
from middleplatform.store.tokens import SharedTokens

__all__ = ["agree", "is_shared", "open_log", "open_tokens", "read_log", "texts_of"]


def is_shared(settings: Settings) -> bool:
    """Say whether several gateways may share the store that the settings name."""
    return settings.store.startswith("postgresql")


def open_log(
    settings: Settings, clock: Clock, rng: Rng, *, serving: bool = False
) -> tuple[AuditLog, Membership | None]:
    """Open the log that the settings name for appending; closing it closes all that was opened for it.

    Args:
        settings: Of the platform.
        clock: Time.
        rng: For keys and names.
        serving: Whether this process answers questions for others.

    Returns:
        The log, and beside it this process's place where the log is shared.

    Raises:
        AuditError: A001 it cannot be opened, A002 it does not verify, A003 it is in use.
        ConfigError: C003, C006, C011, C015.
    """
    if not is_shared(settings):
        return open_file(settings, clock, rng), None
    opened = ExitStack()
    try:
        store = opened.enter_context(Store.open(url_of(settings)))
        signer = _signer(settings, store, rng)
        kind = GATEWAY if serving else COMMAND
        holder = f"{socket.gethostname()} {os.getpid()}"
        member = Membership(store, settings.origin, kind, rng, holder)
        opened.callback(member.close)
        file = settings.state / "audit.db"
        log = open_shared(
            store.engine,
            signer,
            clock,
            member.fence,
            member.claimant,
            file=file,
            closing=opened.close,
            retention_years=settings.retention_years,
        )
    except BaseException:
        opened.close()
        raise
    try:
        if file.exists():
            _take_up(store, settings.origin, member)
    except BaseException:
        log.close()
        raise
    return log, member


def _take_up(store: Store, origin: str, member: Membership) -> None:
    """Take over an act that a process with the log in this file had taken on.

    The file is known to be the beginning of the shared log: what it has of the act is there too. Of a file that lies
    elsewhere nobody here can say what it has, so such an act waits for the gateway that has the file.
    """
    with store.writing() as connection:
        hand_over(connection, origin, member.claimant)


def _signer(settings: Settings, store: Store, rng: Rng) -> CheckpointSigner:
    """Return the log's key: made with the log, brought to every other gateway by its operator.

    Raises:
        ConfigError: C006 the log is there and its key is not, or the key is another origin's.
    """
    path = settings.state / "audit.key"
    if begun(store.engine):
        CheckpointSigner.load(path)  # there must be one
    return CheckpointSigner.load_or_create(path, settings.origin, rng)


def read_log(settings: Settings, keys: Sequence[VerifierKey], clock: Clock) -> ReadOnlyLog:
    """Open the shared log for reading alone, beside the gateways; closing it closes what was opened for it.

    Raises:
        AuditError: A001, A002.
        ConfigError: C003, C015.
        QueryError: Q041 there is none yet.
    """
    with ExitStack() as opened:
        store = opened.enter_context(Store.open(url_of(settings)))
        if not begun(store.engine):
            raise QueryError("Q041", what=("audit log in the store", "共享存储中的审计日志"))
        log = read_shared(store.engine, keys, clock, settings.retention_years, store.close)
        opened.pop_all()
    return log


def open_tokens(settings: Settings, clock: Clock, rng: Rng) -> TokenStore:
    """Open the service tokens: a file in the state folder, or the shared store's.

    Raises:
        ConfigError: C011, C015.
    """
    if not is_shared(settings):
        return TokenStore(settings.state / "tokens.sqlite", clock, rng)
    return TokenStore(SharedTokens(Store.open(url_of(settings)), owned=True), clock, rng)


def agree(member: Membership, catalog: Catalog, files: Mapping[str, str], clock: Clock) -> int:
    """Keep a gateway's catalogue as the store's newest version, and return its number.

    Args:
        member: Of the gateway.
        catalog: As it was loaded.
        files: What it was loaded from, by name.
        clock: Time.

    Raises:
        ConfigError: C002 another gateway works with another catalogue: they would answer differently.
    """
    own = member.lease.name
    with member.store.writing() as connection:
        known = catalogs.newest(connection)
        if known is not None and known[1] == catalog.digest:
            return known[0]
        others = [each for each in leases.held(connection, GATEWAY) if each.name != own]
        if known is not None and others:
            raise ConfigError(
                "C002",
                what=(
                    "another gateway of this store works with another catalogue",
                    "共享存储的其他网关使用的是另一份目录",
                ),
            )
        return catalogs.add(connection, catalog.digest, files, own, clock.now())


def texts_of(folder: Traversable) -> dict[str, str]:
    """Return the YAML files of a catalogue's folder, by name."""
    return {
        each.name: each.read_text(encoding="utf-8")
        for each in folder.iterdir()
        if each.name.endswith((".yaml", ".yml")) and each.is_file()
    }
