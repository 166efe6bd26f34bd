"""Deadlines in working days and retention, each with its article: policy data, not code."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

import policies
from middleplatform.policy.sources import invalid
from policies.documents import read
from policies.schemas import breaches

__all__ = ["Deadline", "Regulation", "Retention", "load"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """One deadline.

    Attributes:
        name_zh: 中文名称.
        name_en: English name.
        working_days: Within which it is due.
        article: Of the regulation.
        extension: Most by which it may be extended, in working days.
    """

    name_zh: str
    name_en: str
    working_days: int
    article: str
    extension: int = 0


@dataclass(frozen=True, slots=True)
class Retention:
    """A duty to keep records for at least ``years`` years."""

    name_zh: str
    name_en: str
    years: int
    article: str


@dataclass(frozen=True, slots=True)
class Regulation:
    """The numbers of one regulation, by name.

    Attributes:
        name: Its short name.
        name_zh: 名称.
        deadlines: By name.
        retention: By name.
        emergency_hours_max: Most hours that an emergency grant holds; 0 for no emergency lane.
        emergency_review: Within which an emergency grant is reviewed after it ended; None without the lane.
    """

    name: str
    name_zh: str
    deadlines: Mapping[str, Deadline]
    retention: Mapping[str, Retention]
    emergency_hours_max: int = 0
    emergency_review: Deadline | None = None


def load(file: Path | Traversable | None = None) -> Regulation:
    """Return the numbers written in ``file``, by default those of decree 809 that are shipped.

    Raises:
        ConfigError: C001, with every problem.
    """
    source = file or policies.root() / "regulation.yaml"
    document, found = read(source.name, source.read_bytes())
    problems = list(found)
    if not problems:
        problems = list(breaches(document, "regulation"))
    if problems:
        raise invalid(problems)
    # The schema has fixed every field and its type.
    raw = cast("dict[str, Any]", document.value)
    return Regulation(
        name=raw["name"],
        name_zh=raw["name_zh"],
        deadlines={name: Deadline(**each) for name, each in raw["deadlines"].items()},
        retention={name: Retention(**each) for name, each in raw["retention"].items()},
        **_emergency(raw.get("emergency")),
    )


def _emergency(raw: dict[str, Any] | None) -> dict[str, Any]:
    if raw is None:
        return {}
    hours = raw.pop("hours_max")
    return {"emergency_hours_max": hours, "emergency_review": Deadline(**raw)}
