"""A sealed answer: labels and marks in the clear, the words of the aggregates under a recipient's key.

Its JSON form is the ``sealed`` member of an answer. Spec: docs/howto/sealed-answers.md, "The file".
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from middleplatform.model.plan import Formula, Part
from middleplatform.model.query import AggregateKind

__all__ = [
    "FORMAT",
    "ISSUER",
    "SIGNED_AS",
    "PublishedKey",
    "SealedAnswer",
    "SealedColumn",
    "SealedWord",
]

FORMAT = "middleplatform-sealed-answer/1"
ISSUER = "gateway"
"""Name under which the gateway's identity key is pinned."""
SIGNED_AS = "sealed answer"
"""Purpose of the gateway's signature over a whole sealed answer."""
_CELLS_MAX = 1 << 22
_ITEMS_MAX = 1024


@dataclass(frozen=True, slots=True)
class PublishedKey:
    """A recipient's public key as it was published.

    Attributes:
        id: SHA-256 of its canonical bytes, hexadecimal.
        document: These bytes (``crypto.sealing_key``).
        proof: Its holder's proof.
        bits: Length of its modulus.
        login: Who published it.
        department: Of that login.
        published_at: ISO 8601, UTC.
        replaces: Id of the key that it takes the place of, or empty.
        revoked_at: When it ceased to serve for sealing, or empty.
        revoked_by: Who withdrew it, or empty.
        reason: Why, or empty.
    """

    id: str
    document: bytes
    proof: bytes
    bits: int
    login: str
    department: str
    published_at: str
    replaces: str
    revoked_at: str
    revoked_by: str
    reason: str


@dataclass(frozen=True, slots=True)
class SealedWord:
    """One number a cell that is encrypted.

    Attributes:
        name: As the layout of the cells names it: ``rows_0``, ``sum_1`` ...
        limbs: Slots that carry it: 1, or 2 (first ``v >> 48``, signed, then ``v mod 2**48``).
        scale: Decimal places of its unit.
    """

    name: str
    limbs: int
    scale: int


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """One output column.

    Attributes:
        name: Of the output.
        source: ``d0`` ... for a label, ``a0`` ... for an aggregate: the formula of that number.
        type: Of a label's values: ``text``, ``integer``, ``boolean``, ``date`` or ``decimal(p,s)``; empty for an
            aggregate, whose type follows from its formula.
        labels: Values by output row, as JSON writes them; empty for an aggregate.
        marks: By output row: why a value is withheld, or None.
    """

    name: str
    source: str
    type: str
    labels: tuple[object, ...]
    marks: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class SealedAnswer:
    """What a recipient opens.

    Attributes:
        query_id: Of the request.
        protocol: ``local``, ``secure_sum`` or ``private_join``.
        key_id: Of the key that opens it.
        holders: Ids of all keys of which ``threshold`` are needed; now the one key.
        threshold: How many holders open together; now 1.
        columns: Of the output, in order.
        rows: For each output row the cell whose words it shows, or -1 where every value is withheld.
        cells: Number of cells.
        words: Of a cell, in order: each is ``limbs`` slots.
        sums: Decimal places of each summed measure of the formulas.
        formulas: How each aggregate comes from the words.
        ciphertexts: Packed and encrypted words (``crypto.sealed_sum``).
        receipts: By department.
        ticket: The gateway's permission to open exactly these ciphertexts, with each department's signature over
            what it sealed (``crypto.tickets``).
        signature: The gateway's over all of this answer but itself, hexadecimal.
    """

    query_id: str
    protocol: str
    key_id: str
    holders: tuple[str, ...]
    threshold: int
    columns: tuple[SealedColumn, ...]
    rows: tuple[int, ...]
    cells: int
    words: tuple[SealedWord, ...]
    sums: tuple[int, ...]
    formulas: tuple[Formula, ...]
    ciphertexts: bytes
    receipts: Mapping[str, str]
    ticket: bytes
    signature: str = ""

    def to_mapping(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "format": FORMAT,
            "query_id": self.query_id,
            "protocol": self.protocol,
            "key_id": self.key_id,
            "holders": list(self.holders),
            "threshold": self.threshold,
            "columns": [_column(each) for each in self.columns],
            "rows": list(self.rows),
            "cells": self.cells,
            "words": [
                {"name": each.name, "limbs": each.limbs, "scale": each.scale} for each in self.words
            ],
            "sums": list(self.sums),
            "formulas": [_formula(each) for each in self.formulas],
            "ciphertexts": base64.b64encode(self.ciphertexts).decode(),
            "receipts": dict(sorted(self.receipts.items())),
            "ticket": base64.b64encode(self.ticket).decode(),
            "signature": self.signature,
        }

    def signed_bytes(self) -> bytes:
        """Return what the gateway signs: the canonical JSON form without the signature."""
        body = self.to_mapping()
        del body["signature"]
        return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()

    def digest(self) -> str:
        """Return SHA-256 of what is signed, hexadecimal."""
        return hashlib.sha256(self.signed_bytes()).hexdigest()

    @staticmethod
    def from_mapping(body: Mapping[str, Any]) -> "SealedAnswer":
        """Read the JSON form.

        Raises:
            ValueError: It is not one that ``to_mapping`` writes.
        """
        try:
            found = _read(body)
        except (KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError):
            raise ValueError("not a sealed answer") from None
        if found.to_mapping() != dict(body):
            raise ValueError("not a sealed answer")
        _check(found)
        return found


def _column(each: SealedColumn) -> dict[str, object]:
    return {
        "name": each.name,
        "source": each.source,
        "type": each.type,
        "labels": list(each.labels),
        "marks": list(each.marks),
    }


def _formula(each: Formula) -> dict[str, object]:
    return {
        "kind": str(each.kind),
        "key": each.key,
        "scale": each.scale,
        "integer": each.integer,
        "parts": [
            {
                "population": part.population,
                "constant": str(part.constant),
                "terms": [[str(coefficient), number] for coefficient, number in part.terms],
            }
            for part in each.parts
        ],
    }


def _read(body: Mapping[str, Any]) -> SealedAnswer:
    if body["format"] != FORMAT or len(body["formulas"]) > _ITEMS_MAX:
        raise ValueError("another format")
    return SealedAnswer(
        query_id=_text(body["query_id"]),
        protocol=_text(body["protocol"]),
        key_id=_text(body["key_id"]),
        holders=tuple(_text(each) for each in body["holders"]),
        threshold=_whole(body["threshold"]),
        columns=tuple(
            SealedColumn(
                _text(each["name"]),
                _text(each["source"]),
                _text(each["type"]),
                tuple(each["labels"]),
                tuple(None if mark is None else _text(mark) for mark in each["marks"]),
            )
            for each in body["columns"]
        ),
        rows=tuple(_whole(each) for each in body["rows"]),
        cells=_whole(body["cells"]),
        words=tuple(
            SealedWord(_text(each["name"]), _whole(each["limbs"]), _whole(each["scale"]))
            for each in body["words"]
        ),
        sums=tuple(_whole(each) for each in body["sums"]),
        formulas=tuple(_read_formula(each) for each in body["formulas"]),
        ciphertexts=base64.b64decode(body["ciphertexts"], validate=True),
        receipts={_text(name): _text(value) for name, value in body["receipts"].items()},
        ticket=base64.b64decode(body["ticket"], validate=True),
        signature=_text(body["signature"]),
    )


def _read_formula(body: Mapping[str, Any]) -> Formula:
    parts = tuple(
        Part(
            _whole(each["population"]),
            Fraction(_text(each["constant"])),
            tuple((Fraction(_text(pair[0])), _whole(pair[1])) for pair in each["terms"]),
        )
        for each in body["parts"]
    )
    return Formula(
        AggregateKind(body["kind"]), parts, _whole(body["key"]), _whole(body["scale"]), body["integer"] is True
    )  # fmt: skip


def _check(found: SealedAnswer) -> None:
    """Check that all parts fit each other, so that who opens it indexes nothing that is not there."""
    good = 0 <= found.cells <= _CELLS_MAX and 0 < len(found.columns) <= _ITEMS_MAX
    good = good and all(-1 <= row < found.cells for row in found.rows)
    good = good and all(word.limbs in (1, 2) and 0 <= word.scale <= 38 for word in found.words)  # noqa: PLR2004 - words and digits of the layout
    good = good and len({word.name for word in found.words}) == len(found.words)
    good = good and all(0 <= scale <= 19 for scale in found.sums)  # noqa: PLR2004 - squares have twice as many
    good = good and all(_fits(each, len(found.rows), len(found.formulas)) for each in found.columns)
    good = good and all(
        0 <= number < len(found.sums) and part.population >= 0
        for formula in found.formulas
        for part in formula.parts
        for _, number in part.terms
    )
    if not good:
        raise ValueError("the parts of a sealed answer do not fit")


def _fits(column: SealedColumn, rows: int, formulas: int) -> bool:
    kind, number = column.source[:1], column.source[1:]
    if not number.isascii() or not number.isdigit() or len(column.marks) != rows:
        return False
    if kind == "d":
        return len(column.labels) == rows
    return kind == "a" and int(number) < formulas and not column.labels


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text")
    return value


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError("a whole number")
    return value
