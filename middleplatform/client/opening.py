"""Opens a sealed answer with the recipient's own key: what a ticket names, and a query under one ticket only.

Who opens whatever comes is a decryption oracle. So the answer must be whole as the gateway signed it, the ticket must
bear the signature of every department that sealed, and the holder's own book says what was opened before.
Spec: docs/howto/sealed-answers.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from middleplatform.client.book import OpenedBook
from middleplatform.combine.sealed import opened
from middleplatform.crypto.identity import PinnedKeys
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.crypto.sealed_layout import decode_join_words, decode_words
from middleplatform.crypto.sealed_sum import SealedWords
from middleplatform.crypto.tickets import Ticket, open_ticket
from middleplatform.crypto.word_layout import Measure, WordLayout
from middleplatform.errors import ProtocolError, QueryError
from middleplatform.model.result import Release, Withholding
from middleplatform.model.sealed import ISSUER, SIGNED_AS, SealedAnswer

__all__ = ["Opened", "key_of", "open_answer", "read_answer", "read_parties"]

_BYTES_MAX = 1 << 30


@dataclass(frozen=True, slots=True)
class Opened:
    """An opened answer.

    Attributes:
        release: As a plain answer would have it.
        sealed: What was opened.
        bits: Length of the key.
        grade: Of the randomness: A, B or C.
    """

    release: Release
    sealed: SealedAnswer
    bits: int
    grade: str


def read_answer(path: Path) -> dict[str, Any]:
    """Return the JSON document of an answer.

    Raises:
        QueryError: Q040 it cannot be read or holds no sealed answer.
    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_BYTES_MAX))
    except (OSError, ValueError, RecursionError):
        raise _unreadable(
            f"{path.name} cannot be read as JSON", f"无法将 {path.name} 读作 JSON"
        ) from None
    if not isinstance(document, dict) or not isinstance(document.get("sealed"), dict):
        raise _unreadable(f"{path.name} holds no sealed answer", f"{path.name} 中没有密封结果")
    return document


def key_of(document: Mapping[str, Any]) -> str:
    """Return the id of the key that a document says it is sealed for; printable, not yet checked."""
    return str(document["sealed"].get("key_id"))[:64].encode("ascii", "backslashreplace").decode()


def read_parties(path: Path) -> PinnedKeys:
    """Return the identity keys of gateway and departments that were kept when the key was published.

    Raises:
        QueryError: Q040 there is no such file, or it holds something else.
    """
    try:
        told = json.loads(path.read_bytes())
        return PinnedKeys({str(name): bytes.fromhex(key) for name, key in told["parties"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        what = (
            f"{path.name} does not hold the parties' public keys: publish the key first",
            f"{path.name} 中没有各方公钥：请先登记密钥",
        )
        raise QueryError("Q040", what=what) from None


def open_answer(
    document: Mapping[str, Any], key: OpeningKey, pins: PinnedKeys, book: OpenedBook
) -> Opened:
    """Open a sealed answer.

    Args:
        document: The whole answer as REST or the command line gave it.
        key: The recipient's.
        pins: Identity keys of the gateway (``"gateway"``) and of the departments.
        book: What this key has opened.

    Raises:
        QueryError: Q040 it is no sealed answer, or one for another key.
        ProtocolError: X001 it was altered: a signature does not verify or parts do not fit; X002 this query was
            opened under another ticket; X004 a plaintext holds no cells.
        ConfigError: C011 the book cannot be written: then nothing is opened.

    Reveals:
        The released values, to the caller.
    """
    try:
        sealed = SealedAnswer.from_mapping(document["sealed"])
    except (ValueError, KeyError):
        raise _unreadable("it is no sealed answer", "不是密封结果") from None
    if sealed.key_id != key.public.key_id:
        raise _unreadable(
            f"it is sealed for the key {sealed.key_id}, this one is {key.public.key_id}",
            f"结果为密钥 {sealed.key_id} 密封，当前密钥为 {key.public.key_id}",
        )
    pins.verify(ISSUER, SIGNED_AS, sealed.signed_bytes(), _signature(sealed))
    layout = WordLayout(
        tuple([Measure(each.name, each.limbs, each.scale) for each in sealed.words])
    )
    ticket = Ticket.from_bytes(sealed.ticket)
    words = SealedWords.from_bytes(sealed.ciphertexts, key.public)
    query_id, _, _ = ticket.subject.query_id.partition(".")
    fits = (query_id, ticket.subject.layout_hash) == (sealed.query_id, layout.digest)
    if not fits or words.count != sealed.cells * layout.words_per_cell:
        raise ProtocolError("X001", detail="a ticket for another answer")
    used = book.under(sealed.ticket)
    (found,) = open_ticket(key, ticket, [words], issuer=ISSUER, pins=pins, used=used)
    cells = found.reshape(sealed.cells, layout.words_per_cell)
    joined = sealed.protocol == "private_join"
    columns = (
        decode_join_words(layout, cells.view(np.uint64))
        if joined
        else decode_words(layout, cells.view(np.int64))
    )
    try:
        release = opened(sealed, columns, *_told(document))
    except (ValueError, KeyError):
        raise ProtocolError("X001", detail="the parts of an answer do not fit") from None
    return Opened(release, sealed, key.public.bits, words.grade)


def _signature(sealed: SealedAnswer) -> bytes:
    try:
        return bytes.fromhex(sealed.signature)
    except ValueError:
        raise ProtocolError("X001", detail="a signature that is no hexadecimal") from None


def _told(
    document: Mapping[str, Any],
) -> tuple[tuple[Withholding, ...], tuple[tuple[str, str], ...]]:
    """Return what the answer says beside its values; a statement of the gateway, not signed with the ticket."""
    try:
        withheld = tuple(
            [
                Withholding(str(each["rule"]), str(each["reason"]), int(each["cells"]))
                for each in document.get("withheld", [])
            ]
        )
        notes = tuple([(str(each["en"]), str(each["zh"])) for each in document.get("notes", [])])
    except (KeyError, TypeError, ValueError):
        return (), ()
    return withheld, notes


def _unreadable(english: str, chinese: str) -> QueryError:
    return QueryError("Q040", what=(english, chinese))
