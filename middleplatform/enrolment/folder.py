"""A party's trust folder: the gateway's, or ``trust`` inside a node's state folder.

``party.json`` says whose it is and which registrar is trusted; ``local.json`` holds the party's own
decisions (pins and refusals), which no roster overrides; ``roster.json`` is the newest roster and
``seen.json`` its number, so that an older one is refused. Files are replaced whole; writers take turns.
Imported by this package.
Spec: docs/spec/enrolment.md, "Folders".

Reveals:
    Nothing: what is written stays in the folder, whose files only their owner reads.
"""

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from middleplatform.crypto.identity import fingerprint
from middleplatform.crypto.key_files import read_private, replace_private
from middleplatform.enrolment.documents import HEX_KEY, Fields, canonical, parse, refused
from middleplatform.enrolment.roster import (
    PARTY,
    PLATFORM,
    Roster,
    follow,
    read_roster,
)
from middleplatform.errors import ConfigError

__all__ = ["Folder", "Local", "Owner", "Peers", "not_enrolled"]

_EITHER = re.compile(r"(|[0-9a-f]{64})")
_PEERS = re.compile(r"pinned|registrar")
_PARTIES_MAX = 1000


class Peers(StrEnum):
    """Whose word makes another department's identity key count."""

    PINNED = "pinned"
    """This department's own: fingerprints that its officer compared."""
    REGISTRAR = "registrar"
    """The registrar's: every active party of the roster counts, unless it is pinned otherwise."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose folder it is.

    Attributes:
        party: ``"gateway"`` or a department's code.
        platform: The platform's name.
        registrar: The registrar's public key; empty until the party is enrolled.
    """

    party: str
    platform: str
    registrar: bytes = b""


@dataclass(frozen=True, slots=True)
class Local:
    """The party's own decisions.

    Attributes:
        peers: Whose word counts for other departments' identity keys.
        pins: Identity keys whose fingerprints were compared, by party.
        refused: Parties that this one refuses whatever the roster says.
    """

    peers: Peers = Peers.PINNED
    pins: Mapping[str, bytes] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()


def not_enrolled(party: str, english: str, chinese: str) -> ConfigError:
    """Return C012 with what to do, in both languages."""
    return ConfigError("C012", party=party, what=(english, chinese))


class Folder:
    """The files of one party.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner_file = path / "party.json"
        self.local_file = path / "local.json"
        self.roster_file = path / "roster.json"
        self.seen_file = path / "seen.json"
        self.identity_file = path / "identity.key"
        self.next_identity_file = path / "identity.next.key"
        self.tls_file = path / "tls.pem"
        self.next_tls_file = path / "tls.next.key"
        self.request_file = path / "request.json"
        self.authority = path / "authority"

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files whose change changes whom the party trusts."""
        return (
            self.owner_file, self.local_file, self.roster_file, self.seen_file, self.identity_file,
            self.next_identity_file, self.tls_file,
        )  # fmt: skip

    def make(self) -> None:
        """Make the folder, for its owner alone.

        Raises:
            ConfigError: C011 when it cannot be made.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            what = (f"{self.path} cannot be made", f"无法创建 {self.path}")
            raise ConfigError("C011", what=what, detail=str(error)) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one writer at a time change files here."""
        handle = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def owner(self) -> Owner:
        """Return whose folder it is.

        Raises:
            ConfigError: C012 when it is nobody's yet; C006 when its files are open to others.
        """
        if not self.owner_file.exists():
            raise not_enrolled(
                str(self.path),
                "there is no party.json; run: middleplatform gateway init, or node init",
                "缺少 party.json；请运行 middleplatform gateway init 或 node init",
            )
        body = Fields(parse(read_private(self.owner_file), "party.json"), "party.json")
        found = Owner(
            body.text("party", PARTY),
            body.text("platform", PLATFORM),
            bytes.fromhex(body.text("registrar", _EITHER)),
        )
        body.end()
        return found

    def write_owner(self, owner: Owner) -> None:
        """Say whose folder it is."""
        value = {
            "party": owner.party, "platform": owner.platform, "registrar": owner.registrar.hex(),
        }  # fmt: skip
        replace_private(self.owner_file, canonical(value))

    def local(self) -> Local:
        """Return the party's own decisions.

        Raises:
            ProtocolError: X006 when the file is damaged; a refusal in it must not be lost.
        """
        if not self.local_file.exists():
            return Local()
        body = Fields(parse(read_private(self.local_file), "local.json"), "local.json")
        pins = body.inner("pins")
        found = Local(
            Peers(body.text("peers", _PEERS)),
            {name: pins.key(name) for name in pins.values if PARTY.fullmatch(name)},
            frozenset(body.texts("refused", PARTY, _PARTIES_MAX)),
        )
        pins.end()
        body.end()
        return found

    def write_local(self, local: Local) -> None:
        """Keep the party's own decisions."""
        value = {
            "peers": str(local.peers),
            "pins": {name: key.hex() for name, key in local.pins.items()},
            "refused": sorted(local.refused),
        }
        replace_private(self.local_file, canonical(value))

    def roster(self, owner: Owner) -> Roster:
        """Return the newest roster.

        Raises:
            ConfigError: C012 before enrolment.
            ProtocolError: X006 when it is forged, or older than one that was here before.
        """
        if not self.roster_file.exists() or not owner.registrar:
            raise not_enrolled(
                owner.party,
                "there is no roster; run: middleplatform node enroll ADMISSION",
                "缺少名册；请运行 middleplatform node enroll ADMISSION",
            )
        raw = read_private(self.roster_file)
        found = read_roster(raw, owner.registrar, owner.platform)
        self._check_newer(found, raw)
        return found

    def accept(self, raw: bytes) -> Roster:
        """Keep a roster that came from outside, and move pins along signed handovers.

        Args:
            raw: The document; the same one again changes nothing.

        Raises:
            ProtocolError: X006 when it is forged, older, of another platform, or another one of
                the same number; then nothing changes.
        """
        with self.locked():
            owner = self.owner()
            found = read_roster(raw, owner.registrar, owner.platform)
            if not self._check_newer(found, raw):
                return found
            # The roster first: a number ahead of its roster would refuse the roster that is here.
            replace_private(self.roster_file, raw)
            seen = {"digest": _digest(raw), "sequence": found.sequence}
            replace_private(self.seen_file, canonical(seen))
            self._move_pins(found)
        return found

    def pin(self, party: str, said: str) -> None:
        """Pin a party's identity key by the fingerprint that was compared.

        Raises:
            ProtocolError: X006 when the roster has no such party, or another fingerprint.
        """
        with self.locked():
            found = self.roster(self.owner()).parties.get(party)
            if found is None or not found.active:
                raise refused(party, "the roster has no such active party", "名册中没有该有效主体")
            if fingerprint(found.identity) != said:
                raise refused(
                    party,
                    "its fingerprint in the roster is another one: ask the department, by a way"
                    " that the gateway cannot alter, which one is right",
                    "名册中的指纹与所给不同：请通过网关无法篡改的途径向该部门核实",
                )
            local = self.local()
            self.write_local(replace(local, pins={**local.pins, party: found.identity}))

    def refuse(self, party: str, *, lift: bool = False) -> None:
        """Refuse a party from now on, whatever the roster says, or no longer."""
        with self.locked():
            local = self.local()
            changed = local.refused - {party} if lift else local.refused | {party}
            self.write_local(replace(local, refused=changed))

    def _check_newer(self, found: Roster, raw: bytes) -> bool:
        """Return whether a roster is newer than all before; the newest itself gives False."""
        if not self.seen_file.exists():
            return True
        body = Fields(parse(read_private(self.seen_file), "seen.json"), "seen.json")
        digest, sequence = body.text("digest", HEX_KEY), body.number("sequence", 2**53)
        body.end()
        if found.sequence < sequence:
            raise refused(
                "roster",
                f"it has number {found.sequence}, and number {sequence} was here before;"
                " get the newest from the gateway",
                f"其序号为 {found.sequence}，而此前已有序号 {sequence}；请向网关获取最新名册",
            )
        if found.sequence == sequence and _digest(raw) != digest:
            raise refused(
                "roster",
                f"there are two different ones with number {sequence}; ask the registrar",
                f"序号 {sequence} 存在两份不同的名册；请联系注册机构",
            )
        return found.sequence > sequence

    def _move_pins(self, roster: Roster) -> None:
        """Replace pins by the keys that they handed over to: a chain is followed once."""
        local = self.local()
        moved = dict(local.pins)
        for name, key in local.pins.items():
            party = roster.parties.get(name)
            if party is not None and follow(key, party, roster.platform):
                moved[name] = party.identity
        if moved != local.pins:
            self.write_local(replace(local, pins=moved))


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
