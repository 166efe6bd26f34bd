"""Logins of the demonstration: one random code a persona, valid for the life of one process on this machine.

There are no passwords, and the codes are nowhere but on the screen of whoever started the service: kept is their
SHA-256, in memory. They exist only for the shipped catalogue, with the nodes in this process, on a loopback address.

Spec: docs/spec/login.md, "Demonstration".
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from middleplatform.access.roles import check_separation
from middleplatform.errors import PolicyError, QueryError
from middleplatform.login.configured import LOOPBACK
from middleplatform.login.secret import digest
from middleplatform.model.request import Subject
from middleplatform.ports import Rng
from middleplatform.settings import Settings

__all__ = ["DemoLogin", "DemoLogins", "demo_logins"]

_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's 32, 5 bits each: what is mistaken for one of them is read as it."""
_MISTAKEN = str.maketrans("ILO", "110")
_LENGTH = 20


@dataclass(frozen=True, slots=True)
class DemoLogin:
    """One login of the demonstration.

    Attributes:
        persona: Its login.
        roles: What it may do, in order.
        code: 100 random bits, in groups; shown once.
    """

    persona: str
    roles: tuple[str, ...]
    code: str


class DemoLogins:
    """Knows the codes of one process by their digests.

    Args:
        personas: Who may log in, by name.
        rng: The operating system's generator.

    Attributes:
        id: Of the process, public: a session begun by a code of another process does not stand.
    """

    def __init__(self, personas: Mapping[str, Subject], rng: Rng) -> None:
        self.id = rng.token_bytes(8).hex()
        self._subjects: dict[str, Subject] = {}
        made = []
        for subject in personas.values():
            if not _sound(subject):
                continue
            code = _code(rng)
            self._subjects[digest(_plain(code))] = subject
            made.append(DemoLogin(subject.id, tuple(sorted(subject.roles)), code))
        self._shown: tuple[DemoLogin, ...] = tuple(made)

    def shown_once(self) -> tuple[DemoLogin, ...]:
        """Return the logins with their codes the first time, nothing afterwards: nobody holds them any more."""
        shown, self._shown = self._shown, ()
        return shown

    def subject(self, code: str) -> Subject:
        """Return whom ``code`` lets in, however it is spaced, in capital or small letters.

        Raises:
            PolicyError: P006 for any other text.
        """
        given, found = digest(_plain(code)), None
        for known, subject in self._subjects.items():
            if hmac.compare_digest(known, given):
                found = subject
        if found is None:
            raise PolicyError("P006")
        return found


def demo_logins(settings: Settings, personas: Mapping[str, Subject], rng: Rng) -> DemoLogins | None:
    """Return the logins of the demonstration; None where this is not one.

    Args:
        settings: The demonstration has the shipped catalogue, no trust folder, and listens on a loopback address.
        personas: Who may log in, by name.
        rng: The operating system's generator.
    """
    shipped = settings.catalog is None and settings.trust is None
    if not shipped or settings.host not in LOOPBACK:
        return None
    return DemoLogins(personas, rng)


def _sound(subject: Subject) -> bool:
    try:
        check_separation(subject.roles)
    except QueryError:
        return False
    return True


def _code(rng: Rng) -> str:
    letters = [_LETTERS[byte % 32] for byte in rng.token_bytes(_LENGTH)]
    groups = ("".join(letters[start : start + 5]) for start in range(0, _LENGTH, 5))
    return "-".join(groups)


def _plain(code: str) -> str:
    return "".join(each for each in code.upper() if each.isalnum()).translate(_MISTAKEN)
