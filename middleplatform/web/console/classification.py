"""The classification board, and the form that classifies one column and leads into a draft.

The form carries the files of the draft that it was opened from, so that a dataset is classified column by column in one
draft; from the board it starts with the files in force.

Spec: docs/spec/policy-lifecycle.md, "Classification".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response

from middleplatform.errors import ConfigError, QueryError
from middleplatform.governance.board import Classed, board, written_rule
from middleplatform.governance.classifying import classified
from middleplatform.governance.drafts import files_in_force, refused
from middleplatform.governance.examined import loaded
from middleplatform.governance.lifecycle import Lifecycle
from middleplatform.model.catalog import Column, Dataset, Sharing, Use
from middleplatform.model.policy import Bundle
from middleplatform.policy.tighten import LEVELS, SHARING_ORDER, uses_within
from middleplatform.web.checks import few
from middleplatform.web.console import pages
from middleplatform.web.console.drafting import base_of, draft_page, sent_files
from middleplatform.web.console.forms import Form, form_of
from middleplatform.web.console.listing import listed
from middleplatform.web.console.policy import OFFICERS
from middleplatform.web.services import services_of

__all__ = ["register"]

_BOARD = "/console/policy/classification"
_FORM = "/console/policy/classify"
_FROM_DRAFT = "/console/policy/draft/classify"
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
_SAME = ("It stands there already: nothing is changed.", "原已如此：未作更改。")


def register(app: FastAPI) -> None:
    """Add the pages."""
    pages.add(app, "GET", _BOARD, _show_board, OFFICERS)
    pages.add(app, "GET", _FORM, _show_form, OFFICERS)
    pages.add(app, "POST", _FORM, few(_classify, "drafts"), OFFICERS)
    pages.add(app, "POST", _FROM_DRAFT, few(_from_draft, "drafts"), OFFICERS)


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


def _named(lifecycle: Lifecycle, dataset_name: str, column_name: str) -> tuple[Dataset, Column]:
    """Return the column of these names.

    Raises:
        QueryError: Q041 there is none.
    """
    dataset = lifecycle.catalog.datasets.get(dataset_name)
    columns: Mapping[str, Column] = {} if dataset is None else dataset.columns
    column = columns.get(column_name)
    if dataset is None or column is None:
        raise QueryError("Q041", what=("such a column", "该列"))
    return dataset, column


def _asked(request: Request) -> tuple[Dataset, Column]:
    """Return the column that the address names."""
    names = (request.query_params.get(name, "") for name in ("dataset", "column"))
    return _named(_lifecycle(request), *names)


@dataclass(frozen=True, slots=True)
class _Draft:
    """What a column is classified in.

    Attributes:
        files: Text by name; empty for those in force.
        bundle: The rules that they write.
        reason: Typed so far.
    """

    files: Mapping[str, str]
    bundle: Bundle
    reason: str


def _draft_of(request: Request, form: Form) -> _Draft:
    """Return the draft that a form carries, else what is in force.

    Raises:
        ConfigError: C001 the draft does not load.
    """
    lifecycle, files = _lifecycle(request), sent_files(form)
    bundle = loaded(files, lifecycle.catalog) if files else lifecycle.compared().bundle
    return _Draft(files, bundle, form.text("reason"))


def _show_form(request: Request) -> Response:
    dataset, column = _asked(request)
    draft = _Draft({}, _lifecycle(request).compared().bundle, "")
    return _form(
        request, dataset, column, draft, written_rule(draft.bundle, dataset.name, column.name)
    )


def _from_draft(request: Request) -> Response:
    """Show the form over the files of a draft; over one that does not load, the draft with what is wrong."""
    form = form_of(request)
    name, _, key = form.one("column").rpartition(".")
    dataset, column = _named(_lifecycle(request), name, key)
    try:
        draft = _draft_of(request, form)
    except ConfigError as error:
        return _unloaded(request, form, error)
    return _form(request, dataset, column, draft, written_rule(draft.bundle, name, key))


def _unloaded(request: Request, form: Form, error: ConfigError) -> Response:
    """Return the draft of a form with the reason why it does not load."""
    if error.code != "C001":
        raise error
    return draft_page(
        request, sent_files(form), reason=form.text("reason"), spots=refused(error),
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
    )  # fmt: skip


def _form(
    request: Request,
    dataset: Dataset,
    column: Column,
    draft: _Draft,
    rule: Mapping[str, object],
    wrong: Mapping[str, tuple[str, str]] | None = None,
    chosen: Sequence[str] = (),
) -> Response:
    use = rule.get("use", [])
    points = rule.get("breakpoints", [])
    least = SHARING_ORDER.index(column.sharing)
    return pages.render(
        request, "policy/classify.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK,
        dataset=dataset, column=column, rule=rule, wrong=wrong or {}, draft=draft, base=base_of(request),
        at=f"{_FORM}?{urlencode({'dataset': dataset.name, 'column': column.name})}",
        levels=[name for name, level in LEVELS.items() if level >= column.level],
        catalog_level=_LEVEL_NAMES[column.level],
        sharing={name: _SHARING[name] for name in SHARING_ORDER[least:]}, all_sharing=_SHARING,
        uses={name: said for name, said in _USES.items() if uses_within(frozenset({Use(name)}), column)},
        used=use if isinstance(use, list) else [use],
        points=", ".join(map(str, points)) if isinstance(points, list) else "",
        purposes=None if dataset.name in draft.bundle.datasets else _purposes(draft.bundle), chosen=chosen,
    )  # fmt: skip


def _purposes(bundle: Bundle) -> list[tuple[str, tuple[str, str]]]:
    return [(code, (each.name_en, each.name_zh)) for code, each in sorted(bundle.purposes.items())]


def _classify(request: Request) -> Response:
    lifecycle, form = _lifecycle(request), form_of(request)
    dataset, column = _asked(request)
    try:
        draft = _draft_of(request, form)
    except ConfigError as error:
        return _unloaded(request, form, error)
    rule, wrong = _rule(form, written_rule(draft.bundle, dataset.name, column.name))
    purposes = [each for each in form.many("purposes") if each in draft.bundle.purposes]
    if dataset.name not in draft.bundle.datasets and not purposes:
        wrong["purposes"] = ("choose at least one purpose", "请至少选择一个使用目的")
    if wrong:
        return _form(request, dataset, column, draft, rule, wrong, purposes)
    files = draft.files or files_in_force(lifecycle, services_of(request).settings)
    try:
        made = classified(files, dataset.name, column.name, rule, purposes)
    except ConfigError as error:
        return draft_page(
            request, files, reason=draft.reason, spots=refused(error),
            status=HTTPStatus.UNPROCESSABLE_ENTITY,
        )  # fmt: skip
    changed = [name for name, text in made.items() if files.get(name) != text]
    file, name = changed[0] if changed else "", f"{dataset.name}.{column.name}"
    told = (f"{name} stands in {file} now.", f"{name} 已写入 {file}。") if file else _SAME
    return draft_page(
        request,
        made,
        reason=draft.reason,
        open_file=file,
        told=told,
        column=_after(dataset, column),
    )


def _after(dataset: Dataset, column: Column) -> str:
    """Return the column that follows in the catalogue; after the last one the first."""
    names = list(dataset.columns)
    return f"{dataset.name}.{names[(names.index(column.name) + 1) % len(names)]}"


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
