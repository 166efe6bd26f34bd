"""From a refusal to statements near the one that was refused: one small change each, the smallest first.

Pure, and no judge: a repair may itself be refused. Who offers one has it judged first (``gateway.advice``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from middleplatform.model.catalog import Catalog
from middleplatform.model.decision import Span
from middleplatform.model.policy import ColumnRule
from middleplatform.sql import repair_columns, repair_forms
from middleplatform.sql.edits import tidy
from middleplatform.sql.parse import DIALECT
from middleplatform.sql.scope import span_of

__all__ = ["Fault", "Repair", "repairs"]

_ONE_LINE = 100
_ALIKE_MAX = 30
"""Places at which one edit is made together; a statement with more of them is not mended."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a statement was refused for.

    Attributes:
        code: Of the error.
        rule: That refuses.
        column: ``"dataset.column"`` at fault, or empty.
        span: Where, or None.
        hint: English hint of the reason.
        what: English words of what is wrong.
        name: Name that an error tells (unknown, ambiguous), or empty.
        policy: What policy says of the column at fault; None where it says nothing.
    """

    code: str
    rule: str
    column: str = ""
    span: Span | None = None
    hint: str = ""
    what: str = ""
    name: str = ""
    policy: ColumnRule | None = None


@dataclass(frozen=True, slots=True, order=True)
class Repair:
    """A statement near another.

    Attributes:
        cost: How much was changed: 1 for a number, up to 8 for a column left out.
        sql: The statement.
        told: (English, Chinese): what was changed.
    """

    cost: int
    sql: str
    told: tuple[str, str] = field(compare=False)


def repairs(sql: str, fault: Fault, catalog: Catalog) -> tuple[Repair, ...]:
    """Return statements near ``sql`` in which what ``fault`` tells is changed, the nearest first.

    Args:
        sql: As typed.
        fault: Why it was refused.
        catalog: For names and keys.
    """
    tree = _read(sql)
    if tree is None:
        return ()
    found: dict[str, Repair] = {}
    for cost, told, edit, everywhere in _edits(tree, fault, catalog):
        made = _made(tree, sql, edit, fault, everywhere=everywhere)
        if made and made.split() != sql.split() and made not in found:
            found[made] = Repair(cost, made, told)
    return tuple(sorted(found.values()))


def _read(sql: str) -> exp.Expr | None:
    try:
        found = [each for each in sqlglot.parse(sql, dialect=DIALECT) if each is not None]
    except (SqlglotError, RecursionError):
        return None
    kept = [each for each in found if isinstance(each, exp.Query)]
    return kept[0] if kept else None


def _edits(
    tree: exp.Expr, fault: Fault, catalog: Catalog
) -> Iterator[tuple[int, tuple[str, str], repair_columns.Edit, bool]]:
    """Yield edits with their costs, and whether each is made wherever the column stands, or at its place alone."""
    if fault.code == "Q010" and fault.what == "more than one statement":
        yield 1, ("only the first statement", "仅保留第一条语句"), lambda _: True, False
    targets = _targets(tree, fault.span) if fault.span is not None else []
    if fault.column and targets and fault.rule not in ("R10", "R12"):
        several = 1 < len(_alike(tree, targets[0])) <= _ALIKE_MAX
        for cost, told, edit in repair_columns.column_edits(fault.rule, fault.column, fault.policy):
            yield cost, told, edit, False
            if several:
                yield cost + 1, told, edit, True
    for cost, told, edit in repair_forms.form_edits(fault, catalog):
        yield cost, told, partial(_on_root, edit), False


def _on_root(edit: repair_columns.Edit, node: exp.Expr) -> bool:
    while node.parent is not None:
        node = node.parent
    return edit(node)


def _targets(tree: exp.Expr, span: Span) -> list[exp.Column]:
    found = []
    for column in tree.find_all(exp.Column):
        place = span_of(column)
        if place is not None and (place.start, place.end) == (span.start, span.end):
            found.append(column)
    return found


def _alike(tree: exp.Expr, target: exp.Column) -> list[exp.Column]:
    """Return the columns that are written as ``target`` is."""
    words = target.sql(DIALECT)
    return [each for each in tree.find_all(exp.Column) if each.sql(DIALECT) == words]


def _made(
    read: exp.Expr, sql: str, edit: repair_columns.Edit, fault: Fault, *, everywhere: bool
) -> str:
    """Return the statement with the edit made, or nothing where it cannot be made."""
    tree = read.copy()
    holder = exp.Subquery(this=tree)  # so that the outermost node can be replaced too
    targets = _targets(tree, fault.span)[:1] if fault.span is not None else []
    if targets and everywhere:
        targets = _alike(tree, targets[0])
    done = [edit(each) for each in targets if each.root() is holder] if targets else [edit(holder)]
    if not any(done):
        return ""
    tidy(holder)
    if holder.find(exp.Table) is None:  # nobody asks that
        return ""
    return _written(holder.this, sql)


def _written(tree: exp.Expr, sql: str) -> str:
    """Return a tree as text: on one line where the statement was on one and it fits."""
    plain = tree.sql(DIALECT, comments=False)
    if len(plain) <= _ONE_LINE and "\n" not in sql.strip():
        return plain
    return tree.sql(DIALECT, comments=False, pretty=True)
