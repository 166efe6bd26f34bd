"""Enrol a gateway and its nodes in one folder without a person: for demonstrations and tests.

The steps are those of the commands, one after the other; only the comparing of fingerprints, which is
what people are for, is done by the program itself. Key files are in the clear.
Imported by demo.
Spec: docs/spec/enrolment.md, "All at once".

Reveals:
    Nothing beyond what each step says; but whoever reads the folder has every party's keys.
"""

from collections.abc import Mapping
from pathlib import Path

from middleplatform.crypto.certificates import CERTIFICATE_DAYS
from middleplatform.enrolment.folder import Folder, Peers
from middleplatform.enrolment.member import Member, node_folder
from middleplatform.enrolment.registrar import Registrar
from middleplatform.enrolment.roster import GATEWAY
from middleplatform.ports import Clock, Rng

__all__ = ["PLATFORM_NAME", "enrol_all", "gateway_trust", "node_state", "node_trust", "registrar"]

PLATFORM_NAME = "mp.internal"


def registrar(root: Path) -> Path:
    """Return the registrar's folder."""
    return root / "registrar"


def gateway_trust(root: Path) -> Path:
    """Return the gateway's trust folder."""
    return root / "gateway"


def node_state(root: Path, department: str) -> Path:
    """Return a node's state folder."""
    return root / "nodes" / department


def node_trust(root: Path, department: str) -> Path:
    """Return a node's trust folder."""
    return node_folder(node_state(root, department))


def enrol_all(
    root: Path,
    departments: Mapping[str, str],
    rng: Rng,
    clock: Clock,
    *,
    days: int = CERTIFICATE_DAYS,
    own_authority: frozenset[str] = frozenset(),
) -> None:
    """Make registrar, gateway and nodes under ``root``, each enrolled and with the newest roster.

    Args:
        root: An empty or missing folder.
        departments: Code to ``"host:port"`` of its node.
        rng: Draws all keys.
        clock: Dates all certificates.
        days: How long certificates hold.
        own_authority: Departments that issue their certificates themselves.

    Raises:
        ConfigError: C011, C012 when the folder cannot be used.
    """
    office = Registrar.create(registrar(root), PLATFORM_NAME, None, clock, rng)
    places = {GATEWAY: gateway_trust(root)} | {name: node_trust(root, name) for name in departments}
    for party, path in places.items():
        member = Member(Folder(path), None, clock, rng)
        peers = Peers.REGISTRAR
        identity = member.create(party, PLATFORM_NAME, peers, own_authority=party in own_authority)
        request = member.folder.request_file.read_bytes()
        address = departments.get(party, "")
        admission = office.admit(request, identity.fingerprint, address, days)
        member.install(admission, office.fingerprint)
    newest = office.roster_file.read_bytes()
    for path in places.values():
        Folder(path).accept(newest)
