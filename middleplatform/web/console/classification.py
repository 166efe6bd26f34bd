"""The classification board, and the form that classifies one column and leads into a draft.

Spec: docs/spec/policy-lifecycle.md, "Classification".
"""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request, Response

from middleplatform.errors import QueryError
from middleplatform.governance.board import Classed, board, written_rule
from middleplatform.governance.classifying import classified
from middleplatform.governance.drafts import files_in_force
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.model.catalog import Column, Dataset, Sharing, Use
from middleplatform.policy.tighten import LEVELS, SHARING_ORDER, uses_within
from middleplatform.web.console import pages
from middleplatform.web.console.drafting import draft_page
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.console.policy import OFFICERS
from middleplatform.web.services import services_of

__all__ = ["register"]

_BOARD = "/console/policy/classification"
_FORM = "/console/policy/classify"
_SHARING: Mapping[str, tuple[str, str]] = {
    Sharing.UNCONDITIONAL: ("unconditional", "无条件共享"),
    Sharing.CONDITIONAL: ("conditional", "有条件共享"),
    Sharing.NOT_SHARED: ("not shared", "不予共享"),
}
_USES: Mapping[str, tuple[str, str]] = {
    Use.KEY: ("key", "键"),
    Use.DIMENSION: ("dimension", "维度"),
    Use.SENSITIVE_DIMENSION: ("sensitive dimension", "敏感维度"),
    Use.DATE: ("date", "日期"),
    Use.MEASURE: ("measure", "度量"),
    Use.DENIED: ("denied", "禁用"),
}
_LEVEL_NAMES = {level: name for name, level in LEVELS.items()}
_PLAIN = ("level", "sharing", "law", "basis", "release")
_NUMBERS = ("min_units", "cap")
_TEXT_MAX = 500


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.add(app, "GET", _BOARD, _show_board, OFFICERS)
    pages.add(app, "GET", _FORM, _show_form, OFFICERS)
    pages.add(app, "POST", _FORM, _classify, OFFICERS)


def _lifecycle(request: Request) -> Lifecycle:
    return services_of(request).lifecycle


def _show_board(request: Request) -> Response:
    lifecycle, asked = _lifecycle(request), request.query_params
    found = board(lifecycle.catalog, lifecycle.compared().bundle)
    wanted = {name: asked.get(name, "") for name in ("dataset", "level", "sharing")}
    rows = [each for each in found if _wanted(each, wanted)]
    return pages.render(
        request, "policy/classification.html",
        rows=listed(request, rows, _words), wanted=wanted, datasets=sorted(lifecycle.catalog.datasets),
        levels=list(LEVELS), level_names=_LEVEL_NAMES, sharing=_SHARING, uses=_USES,
        unclassified=sum(each.rule is None for each in found),
    )  # fmt: skip


def _wanted(each: Classed, wanted: Mapping[str, str]) -> bool:
    said = {
        "dataset": each.dataset.name,
        "level": _LEVEL_NAMES[each.rule.level] if each.rule else "none",
        "sharing": str(each.rule.sharing) if each.rule else "none",
    }
    return all(not value or said[name] == value for name, value in wanted.items())


def _words(each: Classed) -> str:
    return f"{each.dataset.name}.{each.column.name} {each.column.name_zh} {each.column.name_en}"


def _named(request: Request, lifecycle: Lifecycle) -> tuple[Dataset, Column]:
    """Return the column that the address names.

    Raises:
        QueryError: Q041 there is none.
    """
    dataset = lifecycle.catalog.datasets.get(request.query_params.get("dataset", ""))
    columns: Mapping[str, Column] = {} if dataset is None else dataset.columns
    column = columns.get(request.query_params.get("column", ""))
    if dataset is None or column is None:
        raise QueryError("Q041", what=("such a column", "该列"))
    return dataset, column


def _show_form(request: Request) -> Response:
    lifecycle = _lifecycle(request)
    dataset, column = _named(request, lifecycle)
    rule = written_rule(lifecycle.compared().bundle, dataset.name, column.name)
    return _form(request, dataset, column, rule, {})


def _form(
    request: Request,
    dataset: Dataset,
    column: Column,
    rule: Mapping[str, object],
    wrong: Mapping[str, tuple[str, str]],
) -> Response:
    bundle = _lifecycle(request).compared().bundle
    use = rule.get("use", [])
    points = rule.get("breakpoints", [])
    least = SHARING_ORDER.index(column.sharing)
    return pages.render(
        request, "policy/classify.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        dataset=dataset, column=column, rule=rule, wrong=wrong,
        levels=[name for name, level in LEVELS.items() if level >= column.level],
        catalog_level=_LEVEL_NAMES[column.level],
        sharing={name: _SHARING[name] for name in SHARING_ORDER[least:]}, all_sharing=_SHARING,
        uses={name: said for name, said in _USES.items() if uses_within(frozenset({Use(name)}), column)},
        used=use if isinstance(use, list) else [use],
        points=", ".join(map(str, points)) if isinstance(points, list) else "",
        purposes=None if dataset.name in bundle.datasets else sorted(bundle.purposes),
    )  # fmt: skip


def _classify(request: Request) -> Response:
    lifecycle, form = _lifecycle(request), form_of(request)
    dataset, column = _named(request, lifecycle)
    bundle = lifecycle.compared().bundle
    rule, wrong = _rule(form, written_rule(bundle, dataset.name, column.name))
    purposes = [each for each in form.many("purposes") if each in bundle.purposes]
    if dataset.name not in bundle.datasets and not purposes:
        wrong["purposes"] = ("choose at least one purpose", "请至少选择一个使用目的")
    if wrong:
        return _form(request, dataset, column, rule, wrong)
    files = files_in_force(lifecycle, services_of(request).settings)
    made = classified(files, dataset.name, column.name, rule, purposes)
    changed = [name for name, text in made.items() if files.get(name) != text]
    return draft_page(request, made, open_file=changed[0] if changed else "")


def _rule(
    form: Form, before: Mapping[str, object]
) -> tuple[dict[str, object], dict[str, tuple[str, str]]]:
    """Return the entry that a form writes, and what is wrong with it by field; what the form does not know is kept."""
    known = (*_PLAIN, *_NUMBERS, "use", "breakpoints", "generalise")
    rule = {name: value for name, value in before.items() if name not in known}
    rule |= {name: form.one(name)[:_TEXT_MAX] for name in _PLAIN if form.one(name)}
    wrong: dict[str, tuple[str, str]] = {}
    if uses := form.many("use"):
        rule["use"] = uses[0] if len(uses) == 1 else uses
    for name in _NUMBERS:
        _put(rule, wrong, name, form.one(name))
    if form.one("generalise") in ("month", "quarter", "year"):
        rule["generalise"] = form.one("generalise")
    else:
        _put(rule, wrong, "generalise", form.one("generalise"))
    try:
        said = form.one("breakpoints").replace("，", ",").split(",")
        points = [_number(each) for each in said if each.strip()]
    except ValueError:
        wrong["breakpoints"] = ("numbers with commas between", "数字，以逗号分隔")
    else:
        rule |= {"breakpoints": points} if points else {}
    return rule, wrong


def _put(rule: dict[str, object], wrong: dict[str, tuple[str, str]], name: str, text: str) -> None:
    if not text:
        return
    try:
        rule[name] = _number(text)
    except ValueError:
        wrong[name] = ("a number", "须为数字")


def _number(text: str) -> int | float:
    """Return a written number.

    Raises:
        ValueError: It is none, or not finite.
    """
    text = text.strip()
    if not text.isascii() or not set(text) <= set("0123456789.-") or len(text) > 18:  # noqa: PLR2004 - digits
        raise ValueError
    return float(text) if "." in text else int(text)
