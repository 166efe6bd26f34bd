"""The JSON shapes in which answers, explanations and proofs leave, the same by every door.

Stable: fields are added, never renamed or removed within ``/v1``. How long each stage took is left
out: it may depend on data.

Reference: docs/reference/rest.md.
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Any

import pyarrow as pa

from middleplatform.access.problems import reason_shape
from middleplatform.model.advice import Advice
from middleplatform.model.budget import Balance, Budgets, epsilon_at, rho_text
from middleplatform.model.decision import Decision
from middleplatform.model.record import Receipt
from middleplatform.model.result import Answer, Explanation, Release
from middleplatform.model.sealed import PublishedKey

__all__ = [
    "advice",
    "answer",
    "answer_head",
    "budgets",
    "columns",
    "entry",
    "explanation",
    "half_width",
    "marks",
    "opened",
    "receipt",
    "rows",
    "sealing_key",
]


def answer(value: Answer) -> dict[str, object]:
    """Return an answer with its rows."""
    release = value.release
    sealed = {"sealed": value.sealed.to_mapping()} if value.sealed else {}
    noisy = {"intervals": rows(release.intervals)} if release.intervals is not None else {}
    return answer_head(value) | {
        "rows": rows(release.table),
        "suppressed": marks(release.marks),
        **noisy,
        **sealed,
    }


def answer_head(value: Answer) -> dict[str, object]:
    """Return all of an answer but its rows."""
    release = value.release
    return {
        "query_id": value.query_id,
        "status": "answered",
        "protocol": value.protocol,
        "columns": columns(release.table),
        "withheld": [
            {"rule": each.rule, "reason": each.reason, "cells": each.cells}
            for each in release.withheld
        ],
        "notes": [_both(note) for note in release.notes],
        "quality": value.quality,
        "policy": _policy(value.decision),
        "result_digest": release.digest,
        "receipt": receipt(value.receipt),
    }


def columns(table: pa.Table) -> list[dict[str, str]]:
    """Return the name and type of each column, in order; names may repeat."""
    return [{"name": each.name, "type": _type(each.type)} for each in table.schema]


def rows(table: pa.Table) -> list[list[object]]:
    """Return the rows: decimals and dates as text (exact), a withheld or missing value as None."""
    taken = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*taken, strict=True)]


def marks(table: pa.Table) -> list[dict[str, object]]:
    """Return the reason of each withheld value, by row (from 0) and column (from 0)."""
    taken = [column.to_pylist() for column in table.columns]
    return [
        {"row": row, "column": column, "reason": reason}
        for row in range(table.num_rows)
        for column, values in enumerate(taken)
        if (reason := values[row]) is not None
    ]


def half_width(value: float) -> str:
    """Return half the width of an interval for people: three digits, rounded up."""
    exact = Decimal(value)
    if not exact:
        return "0"
    places = 2 - exact.adjusted()
    step = Decimal(1).scaleb(-places)
    steps = int((exact / step).to_integral_value(ROUND_CEILING))
    return format(steps * step, "f")


def opened(value: Release, key_id: str, bits: int, grade: str) -> dict[str, object]:
    """Return a sealed answer that its recipient has opened."""
    return {
        "status": "opened",
        "key_id": key_id,
        "bits": bits,
        "grade": grade,
        "columns": columns(value.table),
        "rows": rows(value.table),
        "suppressed": marks(value.marks),
        "withheld": [
            {"rule": each.rule, "reason": each.reason, "cells": each.cells}
            for each in value.withheld
        ],
        "notes": [_both(note) for note in value.notes],
        "result_digest": value.digest,
    }


def sealing_key(value: PublishedKey) -> dict[str, object]:
    """Return a published key: whose, how long, since when, and whether it still serves."""
    return {
        "id": value.id,
        "login": value.login,
        "department": value.department,
        "bits": value.bits,
        "published_at": value.published_at,
        "replaces": value.replaces,
        "revoked_at": value.revoked_at,
        "reason": value.reason,
    }


def receipt(value: Receipt) -> dict[str, object]:
    """Return a receipt; ``audit.proof`` checks it offline."""
    return {
        "index": value.index,
        "leaf_hash": value.leaf_hash,
        "checkpoint": value.checkpoint,
        "proof": list(value.proof),
    }


def entry(index: int, leaf_hash: str, leaf: bytes) -> dict[str, object]:
    """Return an entry of the log as its own canonical JSON says it."""
    value = json.loads(leaf)
    return {
        "index": index,
        "leaf_hash": leaf_hash,
        "event": value["event"],
        "body": value["body"],
    }


def explanation(value: Explanation, locale: str) -> dict[str, object]:
    """Return an explanation in ``locale`` (``"en"`` or ``"zh"``)."""
    place = 1 if locale == "zh" else 0
    return {
        "verdict": value.verdict,
        "code": value.code,
        "protocol": value.protocol,
        "reasons": [reason_shape(each, locale) for each in value.reasons],
        "steps": [
            {
                "stage": each.stage,
                "party": each.party,
                "what": each.what[place],
                "detail": each.detail,
                "learns": each.learns[place],
            }
            for each in value.steps
        ],
        "rewrites": [each[place] for each in value.rewrites],
        "limits": [each[place] for each in value.limits],
        "flows": [
            {"sender": each.sender, "receiver": each.receiver, "what": each.what[place], "bytes_max": each.bytes_max}
            for each in value.flows
        ],
    }  # fmt: skip


def advice(value: Advice, locale: str) -> dict[str, object]:
    """Return an explanation in ``locale`` with the nearest form that would pass, where there is one."""
    form, place = value.form, 1 if locale == "zh" else 0
    told = None if form is None else {
        "sql": form.request.sql,
        "purpose": form.request.purpose,
        "project": form.request.project,
        "recipient": form.request.recipient,
        "noise": form.request.noise,
        "changes": [each[place] for each in form.changes],
    }  # fmt: skip
    return {**explanation(value.explanation, locale), "form": told}


def budgets(value: Budgets) -> dict[str, object]:
    """Return what may still be spent: exact rho as text, and epsilon at the policy's delta, rounded up."""
    return {
        "project": value.project,
        "analyst": value.analyst,
        "budgets": [_balance(each) for each in value.balances],
        "missing": [{"department": name, "code": code} for name, code in value.missing],
    }


def _balance(value: Balance) -> dict[str, object]:
    left, caps = value.left, value.left.caps

    def loss(rho: Fraction) -> dict[str, object]:
        epsilon = math.ceil(epsilon_at(rho, caps.delta) * _EPSILON_STEPS) / _EPSILON_STEPS
        return {"rho": rho_text(rho), "epsilon": epsilon}

    return {
        "department": value.department,
        "dataset": left.snapshot.dataset,
        "snapshot": left.snapshot.label,
        "delta": rho_text(caps.delta),
        "answer": loss(caps.rho),
        "caps": {
            "snapshot": loss(caps.rho_snapshot),
            "project": loss(caps.rho_project),
            "analyst": loss(caps.rho_analyst),
        },
        "spent": {
            "snapshot": loss(left.spent_snapshot),
            "project": loss(left.spent_project),
            "analyst": loss(left.spent_analyst),
        },
        "left": {
            "snapshot": loss(left.by_snapshot),
            "project": loss(left.by_project),
            "analyst": loss(left.by_analyst),
            "least": loss(left.least),
        },
    }


_EPSILON_STEPS = 10_000
"""Epsilon is told to four decimals."""


def _policy(decision: Decision) -> dict[str, object]:
    return {
        "digest": decision.bundle_digest,
        "grants": list(decision.grants),
        "threshold": decision.disclosure.min_units,
        "threshold_owner": decision.threshold_owner,
    }


def _both(pair: tuple[str, str]) -> Mapping[str, str]:
    return {"en": pair[0], "zh": pair[1]}


def _type(kind: pa.DataType) -> str:
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    for name, matches in (
        ("boolean", pa.types.is_boolean),
        ("integer", pa.types.is_integer),
        ("double", pa.types.is_floating),
        ("date", pa.types.is_date),
        ("timestamp", pa.types.is_timestamp),
        ("null", pa.types.is_null),
    ):
        if matches(kind):
            return name
    return "text"


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever Arrow holds
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Decimal():
            return format(value, "f")
        case date() | datetime() | time():
            return value.isoformat()
        case _:
            return str(value)
