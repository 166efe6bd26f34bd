"""The catalogue in the browser: search and filters over every dataset, and a page for each with what may be done."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from fastapi import FastAPI, Request, Response

from middleplatform.accountability.assets import AssetState
from middleplatform.catalog.browse import LEVEL_WORDS, level_name, type_name
from middleplatform.errors import QueryError
from middleplatform.model.catalog import Catalog, Dataset, Sharing, Use
from middleplatform.model.request import Role, Subject
from middleplatform.policy import evaluate
from middleplatform.policy.entitled import CLOSED, NEVER, OPEN, Entitlement, entitled, purposes_of
from middleplatform.web.console import pages
from middleplatform.web.console.completion import STATES, apply_address
from middleplatform.web.console.listing import listed
from middleplatform.web.services import services_of

__all__ = ["ASKERS", "SHARING", "register"]

ASKERS = frozenset({Role.ANALYST, Role.DEPARTMENT_STEWARD, Role.DATA_BUREAU})
"""Who may ask, as ``web.guard`` has it for REST."""

SHARING: Mapping[str, tuple[str, str]] = {
    "unconditional": ("unconditional", "无条件共享"),
    "conditional": ("conditional", "有条件共享"),
    "not_shared": ("not shared", "不予共享"),
}
USES: Mapping[str, tuple[str, str]] = {
    "key": ("key", "主键"), "dimension": ("dimension", "维度"),
    "sensitive_dimension": ("sensitive dimension", "敏感维度"), "date": ("date", "日期"),
    "measure": ("measure", "度量"), "denied": ("denied", "禁止使用"),
}  # fmt: skip
FREQUENCIES: Mapping[str, tuple[str, str]] = {
    "daily": ("daily", "每日"), "weekly": ("weekly", "每周"), "monthly": ("monthly", "每月"),
    "quarterly": ("quarterly", "每季"), "yearly": ("yearly", "每年"), "once": ("once", "一次性"),
    "realtime": ("as it happens", "实时"),
}  # fmt: skip
ASSETS: Mapping[str, tuple[str, str]] = {
    "undisputed": ("undisputed", "无异议"), "disputed": ("disputed", "存在异议"),
    "corrected": ("corrected", "已更正"),
}  # fmt: skip
"""How datasets stand by the tickets about them, in a word."""
_RANK = tuple(SHARING)
_FILTERS = ("level", "sharing", "use", "owner", "frequency", "mine", "state")


@dataclass(frozen=True, slots=True)
class Row:
    """A dataset in the list.

    Attributes:
        dataset: Of the catalogue.
        level: Highest of its columns, as the YAML writes it.
        sharing: Strictest of its columns that are shared at all; ``not_shared`` where none is.
        usable: Columns that the person may use now.
        columns: All of them.
        held: Whether it is connected.
        state: How it stands by the tickets about it; None where nobody keeps tickets.
    """

    dataset: Dataset
    level: str
    sharing: str
    usable: int
    columns: int
    held: bool
    state: AssetState | None


def register(app: FastAPI) -> None:
    """Add the pages of the catalogue."""
    pages.navigate(
        app,
        pages.Entry(
            "/console/catalog",
            ("Catalogue", "数据目录"),
            (
                "Find data, and see what you may do with each column.",
                "查找数据，了解每一列可以怎样使用。",
            ),
            pages.ALL,
            place=10,
        ),
    )
    pages.add(app, "GET", "/console/catalog", _search, pages.ALL)
    pages.add(app, "GET", "/console/catalog/{dataset}", _dataset, pages.ALL)


def _search(request: Request) -> Response:
    gateway, subject = request.app.state.gateway, request.state.subject
    catalog, bundle, now = gateway.catalog, gateway.rules(), gateway.clock.now()
    chosen = {name: request.query_params.get(name, "")[:60] for name in _FILTERS}
    rows, states = [], _asset_states(request)
    for dataset in catalog.datasets.values():
        may = entitled(bundle, subject, dataset, now)
        row = _row(dataset, may, states.get(dataset.name))
        if _kept(row, may, chosen):
            rows.append(row)
    return pages.render(
        request,
        "analyst/catalog.html",
        rows=listed(request, rows, _words),
        chosen=chosen,
        choices=_choices(catalog, pages.locale(request)),
        sharing=SHARING,
        assets=ASSETS,
        frequencies=FREQUENCIES,
        departments=catalog.departments,
        asks=bool(subject.roles & ASKERS),
    )


def _asset_states(request: Request) -> dict[str, AssetState]:
    """Return how each dataset stands; nothing where there is no store."""
    services = services_of(request)
    if services.platform.lifecycle is None:
        return {}
    return {each.dataset: each for each in services.accounts().assets()}


def _row(dataset: Dataset, may: tuple[Entitlement, ...], state: AssetState | None) -> Row:
    columns = dataset.columns.values()
    shared = [str(each.sharing) for each in columns if each.sharing is not Sharing.NOT_SHARED]
    return Row(
        dataset,
        level_name(max(each.level for each in columns)),
        max(shared, key=_RANK.index, default="not_shared"),
        sum(each.state == OPEN for each in may),
        len(may),
        any(each.held for each in columns),
        state,
    )


def _kept(row: Row, may: tuple[Entitlement, ...], chosen: Mapping[str, str]) -> bool:
    columns = row.dataset.columns.values()
    found: Mapping[str, Collection[str]] = {
        "level": (row.level,),
        "sharing": [str(each.sharing) for each in columns],
        "use": [str(use) for each in columns for use in each.uses],
        "owner": (row.dataset.owner,),
        "frequency": (row.dataset.update_frequency,),
        "mine": [each.state for each in may],
        "state": () if row.state is None else (row.state.state,),
    }
    return all(wanted in found[name] for name, wanted in chosen.items() if wanted)


def _words(row: Row) -> str:
    each = row.dataset
    names = " ".join(f"{c.name} {c.name_zh} {c.name_en}" for c in each.columns.values())
    return f"{each.name} {each.name_zh} {each.name_en} {each.purpose_note} {names}"


def _choices(catalog: Catalog, locale: str) -> dict[str, list[tuple[str, str]]]:
    """Return what each filter offers: value and words, in the reader's language."""
    place = 1 if locale == "zh" else 0
    datasets = catalog.datasets.values()
    levels = sorted({column.level for each in datasets for column in each.columns.values()})
    owners = sorted({each.owner for each in datasets})
    frequencies = sorted({each.update_frequency for each in datasets})
    return {
        "level": [(level_name(each), LEVEL_WORDS[level_name(each)][place]) for each in levels],
        "sharing": [(name, words[place]) for name, words in SHARING.items()],
        "use": [(str(each), USES[str(each)][place]) for each in Use],
        "owner": [(each, _department(catalog, each, place)) for each in owners],
        "frequency": [(each, FREQUENCIES.get(each, (each, each))[place]) for each in frequencies],
        "mine": [(name, words[place]) for name, words in STATES.items()],
        "state": [(name, words[place]) for name, words in ASSETS.items()],
    }


def _department(catalog: Catalog, code: str, place: int) -> str:
    found = catalog.departments.get(code)
    return code if found is None else (found.name_en, found.name_zh)[place]


def _dataset(request: Request) -> Response:
    gateway, subject = request.app.state.gateway, request.state.subject
    name = request.path_params["dataset"]
    dataset = gateway.catalog.datasets.get(name)
    if dataset is None:
        raise QueryError("Q041", what=(f"dataset {name[:100]}", f"数据集 {name[:100]}"))
    bundle = gateway.rules()
    may = entitled(bundle, subject, dataset, gateway.clock.now())
    wanting = [f"{name}.{each.column}" for each in may if each.state == CLOSED]
    rule = evaluate.dataset_rule(bundle, name)
    purposes = purposes_of(bundle, subject, name)
    return pages.render(
        request,
        "analyst/dataset.html",
        dataset=dataset,
        columns=[(dataset.columns[each.column], each) for each in may],
        rule=rule,
        purposes=[bundle.purposes[each] for each in purposes],
        names={code: (each.name_en, each.name_zh) for code, each in bundle.purposes.items()},
        department=gateway.catalog.departments.get(dataset.owner),
        states=STATES,
        standing=_asset_states(request).get(name),
        assets=ASSETS,
        kinds=KINDS,
        sharing=SHARING,
        uses=USES,
        frequencies=FREQUENCIES,
        level_name=level_name,
        type_name=type_name,
        apply=apply_address(wanting, purposes[0] if purposes else "") if wanting else "",
        asks=bool(subject.roles & ASKERS),
        applies=_applies(subject),
        sample=_sample(dataset, may),
    )


KINDS: Mapping[str, str] = {OPEN: "good", CLOSED: "warn", NEVER: "bad", "unconnected": "muted"}
"""How an entitlement's state is colored; its words say it."""


def _applies(subject: Subject) -> bool:
    return bool(subject.roles & {Role.ANALYST, Role.DEPARTMENT_STEWARD})


def _sample(dataset: Dataset, may: tuple[Entitlement, ...]) -> str:
    """Return a first statement over the dataset: a count by a column that may be grouped by."""
    for each in may:
        grouped = any(form.sql.startswith("GROUP BY") for form in each.forms)
        if each.state == OPEN and grouped:
            return (
                f"SELECT {each.column}, COUNT(*) AS n\nFROM {dataset.name}\nGROUP BY {each.column}"
            )
    return f"SELECT COUNT(*) AS n\nFROM {dataset.name}"
