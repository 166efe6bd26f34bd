"""A department's own connectors and the quality of its data, as far as the platform knows of them.

Nodes in the gateway's process are looked at; nodes elsewhere are asked for their status. What stays inside the
department (its sources, its mapping, its profile) is said to stay there.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response

from middleplatform.catalog.browse import level_name, type_name
from middleplatform.errors import MiddleplatformError, SourceError
from middleplatform.model.catalog import Column, Dataset, Use
from middleplatform.model.request import Role
from middleplatform.node.condition import SourceCondition, source_conditions, status_of
from middleplatform.policy.entitled import purposes_of
from middleplatform.web.console import pages
from middleplatform.web.console.listing import listed
from middleplatform.web.console.usage import department_of
from middleplatform.web.services import services_of

__all__ = ["CONNECTORS", "QUALITY", "READERS", "register"]

READERS = frozenset({Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
CONNECTORS = "/console/department/connectors"
QUALITY = "/console/department/quality"
_STATUS_S = 5.0
"""Seconds that a node has to say how it is."""
_PURPOSE = "data_quality"
_FORMS: Mapping[str, type] = {
    "policy_digest": str, "catalog_digest": str, "policy": Mapping, "roster": object, "version": str, "running": int,
    "time": str,
}  # fmt: skip
"""Of what a node says, by name."""
_SAID_MAX = 20_000


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.navigate(app, pages.Entry(
        CONNECTORS, ("Connectors", "数据连接"),
        ("How your department's node is: what it serves, which policy it enforces, whether its sources changed.",
         "本部门节点的状态：提供哪些数据、执行哪一版策略、数据源结构是否变化。"),
        READERS, 42,
    ))  # fmt: skip
    pages.navigate(app, pages.Entry(
        QUALITY, ("Data quality", "数据质量"),
        ("Quality of your department's data by column, who disputes it, and questions that measure it.",
         "本部门数据逐列质量、异议情况以及用于度量的查询。"),
        READERS, 43,
    ))  # fmt: skip
    pages.add(app, "GET", CONNECTORS, _connectors, READERS)
    pages.add(app, "GET", QUALITY, _quality, READERS)


def _department(request: Request) -> str:
    """Return whose pages these are: the person's own; the bureau chooses."""
    own: str = request.state.subject.department
    return department_of(request) if Role.DATA_BUREAU in request.state.subject.roles else own


# --- connectors ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Node:
    """A department's node, as far as it is known here.

    Attributes:
        reached: ``"here"``, ``"wire"`` or ``"none"``.
        status: What it says; empty where it says nothing.
        sources: Of its datasets; empty where they are the department's to look at.
        problem: Why it says nothing; empty otherwise.
    """

    reached: str
    status: Mapping[str, Any] = field(default_factory=dict)
    sources: tuple[SourceCondition, ...] = ()
    problem: MiddleplatformError | None = None


async def _connectors(request: Request) -> Response:
    node = await _node(request, _department(request))
    return await asyncio.to_thread(_shown, request, node)


async def _node(request: Request, department: str) -> _Node:
    here = services_of(request).platform.nodes.get(department)
    if here is not None:
        return await asyncio.to_thread(
            lambda: _Node("here", status_of(here), source_conditions(here))
        )
    try:
        link: Any = request.app.state.gateway.dispatcher.link(department)
        status = await asyncio.wait_for(link.status(), _STATUS_S)
    except TimeoutError:
        return _Node("wire", problem=SourceError("S002", department=department))
    except MiddleplatformError as error:
        request.app.state.operator_log.detail(error)
        known = department in request.app.state.gateway.dispatcher.pins.names
        return _Node("wire" if known else "none", problem=error)
    return _Node("wire", _read(status))


def _read(said: Mapping[str, object]) -> dict[str, object]:
    """Return what a node elsewhere says, as far as it has the form in which it is shown: no node is trusted in that."""
    found: dict[str, object] = {
        name: said[name]
        for name, kind in _FORMS.items()
        if name in said and isinstance(said[name], kind) and len(str(said[name])) <= _SAID_MAX
    }
    policy = found.get("policy")
    if isinstance(policy, Mapping):
        points = policy.get("stricter")
        found["policy"] = {**policy, "stricter": points if isinstance(points, list) else []}
    return found


def _shown(request: Request, node: _Node) -> Response:
    gateway, department = request.app.state.gateway, _department(request)
    lifecycle = services_of(request).platform.lifecycle
    catalog, locale = gateway.catalog, pages.locale(request)
    policy = node.status.get("policy")
    held = [each for each in catalog.datasets.values() if department in each.held_by]
    return pages.render(
        request,
        "department/connectors.html",
        department=department,
        node=node,
        policy=policy if isinstance(policy, Mapping) else {},
        problem="" if node.problem is None else node.problem.message(locale),
        rows=listed(request, held, _words),
        sources={each.dataset: each for each in node.sources},
        problems={
            each.dataset: (each.problem.message(locale), each.problem.hint(locale))
            for each in node.sources
            if each.problem is not None
        },
        digests=(gateway.bundle.digest, catalog.digest),
        version=0 if lifecycle is None else lifecycle.compared().number,
        bureau=Role.DATA_BUREAU in request.state.subject.roles,
        departments=catalog.departments,
    )


def _words(each: Dataset) -> str:
    return f"{each.name} {each.name_zh} {each.name_en} {each.owner}"


# --- quality ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Row:
    """A column of an own dataset, with the tickets that wait for an answer about it or the whole dataset."""

    dataset: Dataset
    column: Column
    tickets: tuple[str, ...]


def _quality(request: Request) -> Response:
    gateway, who = request.app.state.gateway, request.state.subject
    department, wanted = _department(request), request.query_params.get("dataset", "")[:200]
    own = [each for each in gateway.catalog.datasets.values() if each.owner == department]
    shown = [each for each in own if wanted in ("", each.name)]
    pending = _pending(request)
    rows = [
        _Row(each, column, _about(pending, each.name, f"{each.name}.{column.name}"))
        for each in shown
        for column in each.columns.values()
    ]
    bundle = gateway.rules()
    purposes = purposes_of(bundle, who)
    chosen = _PURPOSE if _PURPOSE in purposes else next(iter(purposes), "")
    serving = [
        each
        for each in gateway.catalog.datasets.values()
        if chosen and chosen in purposes_of(bundle, who, each.name)
    ]
    return pages.render(
        request,
        "department/quality.html",
        status=HTTPStatus.OK,
        department=department,
        own=own,
        wanted=wanted,
        rows=listed(request, rows, lambda row: f"{_words(row.dataset)} {row.column.name} {row.column.name_zh}"),
        figures=[(each, len(_about(pending, each.name, ""))) for each in shown],
        questions=[one for each in shown for one in _questions(each, serving)],
        purpose=chosen,
        type_name=type_name,
        level_name=level_name,
        bureau=Role.DATA_BUREAU in who.roles,
        departments=gateway.catalog.departments,
    )  # fmt: skip


def _pending(request: Request) -> list[tuple[str, str, str]]:
    """Return (dataset, column, number) of each ticket that the person may see and that waits for its answer."""
    if services_of(request).platform.lifecycle is None:
        return []
    found = services_of(request).tickets().listed(request.state.subject)
    return [(each.about.dataset, each.about.column, each.number) for each in found if each.pending]


def _about(pending: list[tuple[str, str, str]], dataset: str, column: str) -> tuple[str, ...]:
    """Return the tickets about a column; of a dataset with all its columns where none is named."""
    return tuple(
        number
        for about, named, number in pending
        if about == dataset and (not column or named in ("", column))
    )


def _questions(own: Dataset, others: list[Dataset]) -> list[tuple[pages.Pair, str]]:
    """Return questions that measure a dataset's quality: units registered twice, and keys that others do not know.

    Args:
        own: The dataset.
        others: Those that may be asked about for the purpose, ``own`` too where it may.
    """
    key = _key(own)
    if not key or own not in others:
        return []
    again = f"SELECT {key} FROM {own.name} GROUP BY {key} HAVING COUNT(*) > 1"  # noqa: S608 - names of the catalogue
    twice = f"SELECT COUNT(*) AS registered_twice\nFROM ({again}) AS d"
    found = [(
        (f"{own.name_en}: registered more than once", f"{own.name_zh}：重复登记"), twice,
    )]  # fmt: skip
    for other in others:
        there = _key(other)
        if there and other.unit == own.unit and other.owner != own.owner:
            words = (
                f"{own.name_en}: not known in {other.name_en}",
                f"{own.name_zh}：在{other.name_zh}中无匹配",
            )
            sql = (
                f"SELECT COUNT(*) AS not_known_there\nFROM {own.name} t LEFT JOIN {other.name} s"
                f" ON s.{there} = t.{key}\nWHERE s.{there} IS NULL"
            )
            found.append((words, sql))
    return found


def _key(dataset: Dataset) -> str:
    """Return the column that names the unit of a row; empty where it cannot be asked about."""
    column = dataset.columns.get(dataset.unit_column)
    usable = column is not None and column.held and Use.KEY in column.uses
    return dataset.unit_column if usable else ""
