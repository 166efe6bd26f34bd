"""Approved query templates: whether a question is one, and what then is open to it.

A template is a finite list of statements. A question is the template's when its parsed tree is the tree of one of
them, node by node; nothing else is opened to anybody. What is opened are the conditional columns that these statements
name, for the operations for which they name them, as grants that come after all others: where those are enough, a
question is judged as if there were no template. Every other rule is judged as it is.

Whoever sees no whole question (a node, which is asked fragments) cannot see its form: there the gateway says which
template a fragment belongs to, ``by`` says whose rules decide what that opens, and ``within`` whether the fragment uses
anything that the template's statements do not use so.

Spec: docs/spec/grants.md, "Approved templates".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice

from middleplatform.authorization.authorize import Asking, counted, operation_of
from middleplatform.errors import MiddleplatformError
from middleplatform.model.catalog import Catalog
from middleplatform.model.policy import Bundle, Grant, Limits, Template
from middleplatform.model.query import ColumnUse, Context, ParsedQuery, QueryFacts
from middleplatform.policy import evaluate
from middleplatform.policy.templates import approval, stands
from middleplatform.sql.forms import Form, canonical, names, statements
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

__all__ = [
    "approvals",
    "columns_of",
    "datasets_of",
    "forms",
    "matching",
    "opened",
    "prepare",
    "within",
]

Opened = Mapping[str, frozenset[str]]
"""Columns by operation."""


def matching(parsed: ParsedQuery, asking: Asking, bundle: Bundle) -> str:
    """Return the name of the first template, by name, that is open to who asks and has this statement; or nothing.

    Two templates of one statement are refused by ``policy check``.
    """
    try:
        alike = _alike(parsed, bundle) if bundle.templates else {}
        form = canonical(parsed.tree) if alike else b""
    except MiddleplatformError:
        return ""
    theirs = (
        name
        for name, each in sorted(alike.items())
        if stands(each, asking.subject, asking.purpose, asking.now)
        and form in forms(each, bundle.limits)
    )
    return next(theirs, "")


def _alike(parsed: ParsedQuery, bundle: Bundle) -> Mapping[str, Template]:
    """Names are the same in all of a template's statements: most questions are told apart by them alone."""
    said, limits = names(parsed.tree), bundle.limits
    return {name: each for name, each in bundle.templates.items() if _names(each, limits) == said}


def prepare(bundle: Bundle, catalog: Catalog) -> None:
    """Read what all templates say, so that no question has to wait for it; what was read once is not read again.

    Args:
        bundle: In force.
        catalog: What exists.
    """
    for template in bundle.templates.values():
        _names(template, bundle.limits)
        forms(template, bundle.limits)
        _read(template, bundle.limits, _Same(catalog), first=False)


def opened(bundle: Bundle, name: str, catalog: Catalog, by: Bundle | None = None) -> Bundle:
    """Return ``bundle`` with what a template opens after its own grants; the bundle itself where that is nothing.

    Args:
        bundle: Judges.
        name: Of a template of the bundle, that a question is known to be of; empty for none.
        catalog: What exists.
        by: Whose rules say which columns are conditional; ``bundle`` itself unless given. A template of another
            content there opens nothing.
    """
    template = bundle.templates.get(name)
    said = bundle if by is None else by
    if template is None or said.templates.get(name) != template:
        return bundle
    given = approvals(template, said, catalog)
    return replace(bundle, grants=(*bundle.grants, *given)) if given else bundle


def approvals(template: Template, bundle: Bundle, catalog: Catalog) -> tuple[Grant, ...]:
    """Return what a template opens, one grant for each operation, all under its number."""
    found = {
        operation: {name for name in columns if _conditional(name, bundle)}
        for operation, columns in columns_of(template, bundle, catalog).items()
    }
    return tuple(
        approval(template, columns, operation)
        for operation, columns in sorted(found.items())
        if columns
    )


def columns_of(
    template: Template, bundle: Bundle, catalog: Catalog, *, first: bool = False
) -> Opened:
    """Return the columns that a template's statements name, by operation.

    Also what their rows are filtered by without being asked: the region of each dataset, and withheld codes.

    Args:
        template: Which.
        bundle: Whose rules say what is withheld.
        catalog: What exists.
        first: Look at the first statement only: to tell of a template, not to open it.
    """
    read = _read(template, bundle.limits, _Same(catalog), first=first)
    silent = frozenset(_filtered(read.datasets, bundle, catalog))
    return {**read.columns, "filter": read.columns.get("filter", frozenset()) | silent}


def within(facts: QueryFacts, template: Template, bundle: Bundle, catalog: Catalog) -> bool:
    """Say whether a fragment uses columns, also those that need no approval, only as some statement of a template does.

    Of a grouping the column counts, since it may have been made coarser; of all else also the function, or the
    comparison and its literals. Filters of what is filtered without being asked may be added.

    Args:
        facts: Of the fragment.
        template: That it is said to belong to.
        bundle: Whose rules say what is withheld.
        catalog: What exists.
    """
    silent = set(_filtered(facts.datasets, bundle, catalog))
    read = _read(template, bundle.limits, _Same(catalog), first=False)
    return read.datasets.issuperset(facts.datasets) and all(
        _use(use) in read.uses
        or (use.context is Context.COMPARE and f"{use.dataset}.{use.column}" in silent)
        for use in facts.uses
    )


_Use = tuple[object, ...]


def _use(use: ColumnUse) -> _Use:
    operation = operation_of(use)
    if operation == "group":
        return operation, use.dataset, use.column, use.per_unit
    how = (operation or use.context, use.op, use.literals)
    return *how, use.dataset, use.column, use.per_unit


def datasets_of(template: Template, bundle: Bundle, catalog: Catalog) -> frozenset[str]:
    """Return the datasets that a template's statements read; none where no statement can be read."""
    return _read(template, bundle.limits, _Same(catalog), first=False).datasets


def _conditional(name: str, bundle: Bundle) -> bool:
    dataset, _, column = name.rpartition(".")
    rule = evaluate.column_rule(bundle, dataset, column)
    return evaluate.needs_grant(rule) and not evaluate.denied(rule)


def _filtered(datasets: Iterable[str], bundle: Bundle, catalog: Catalog) -> Iterator[str]:
    for name in datasets:
        region = catalog.datasets[name].region_column
        if region:
            yield f"{name}.{region}"
        rule = evaluate.dataset_rule(bundle, name)
        for column, each in () if rule is None else rule.columns.items():
            if each.withheld:
                yield f"{name}.{column}"


@lru_cache(maxsize=1024)
def _names(template: Template, limits: Limits) -> tuple[str, ...] | None:
    first = next(_parsed(template, limits), None)
    return None if first is None else names(first.tree)


@lru_cache(maxsize=1024)
def forms(template: Template, limits: Limits) -> frozenset[Form]:
    """Return the trees of a template's statements; one that cannot be parsed has none."""
    return frozenset(canonical(parsed.tree) for parsed in _parsed(template, limits))


def _parsed(template: Template, limits: Limits) -> Iterator[ParsedQuery]:
    try:
        texts = statements(template.sql, template.parameters)
    except MiddleplatformError:
        return
    for text in texts:
        try:
            yield parse(text, limits)
        except MiddleplatformError:
            continue


@dataclass(frozen=True, slots=True, eq=False)
class _Same:
    """A catalogue as a key: the very same object, which cannot be replaced while it is one."""

    catalog: Catalog

    def __hash__(self) -> int:
        return id(self.catalog)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.catalog is self.catalog


@dataclass(frozen=True, slots=True)
class _Read:
    """What a template's statements say, all of them together.

    Attributes:
        datasets: That they read.
        columns: That they name, by operation.
        uses: Of columns, as ``within`` compares them.
    """

    datasets: frozenset[str]
    columns: Opened
    uses: frozenset[_Use]


@lru_cache(maxsize=1024)
def _read(template: Template, limits: Limits, known: _Same, *, first: bool) -> _Read:
    """Every caller names ``first``: what is remembered is found by the arguments as they are written."""
    datasets: set[str] = set()
    columns: dict[str, set[str]] = {}
    uses: set[_Use] = set()
    for facts in _facts(template, limits, known.catalog, first=first):
        datasets.update(facts.datasets)
        uses.update(map(_use, facts.uses))
        for use in (*facts.uses, *counted(facts, known.catalog)):
            operation = operation_of(use)
            if operation is not None and use.dataset and use.column != "*":
                columns.setdefault(operation, set()).add(f"{use.dataset}.{use.column}")
    named = {operation: frozenset(found) for operation, found in columns.items()}
    return _Read(frozenset(datasets), named, frozenset(uses))


def _facts(
    template: Template, limits: Limits, catalog: Catalog, *, first: bool
) -> Iterator[QueryFacts]:
    for parsed in islice(_parsed(template, limits), 1 if first else None):
        try:
            yield qualify(parsed, catalog).facts
        except MiddleplatformError:
            continue
