"""Where in a statement a name stands that an error tells: for errors that come without a place of their own."""

from collections.abc import Collection

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from middleplatform.model.decision import Span
from middleplatform.sql.parse import DIALECT
from middleplatform.sql.scope import span_of

__all__ = ["also_at", "place_at", "place_of"]


def place_of(sql: str, name: str) -> Span | None:
    """Return the first place of ``name`` in ``sql``, in any case; of a dotted name, all of its parts.

    Args:
        sql: As typed.
        name: Parts joined by dots, as the error says it.
    """
    try:
        tokens = sqlglot.tokenize(sql, dialect=DIALECT)
    except SqlglotError:
        return None
    wanted = [part.strip('"').lower() for part in name.split(".")]
    count = 2 * len(wanted) - 1
    for place in range(len(tokens) - count + 1):
        some = tokens[place : place + count]
        dots = all(token.text == "." for token in some[1::2])
        if dots and [token.text.lower() for token in some[::2]] == wanted:
            return _span(some[0].start, some[-1].end + 1, sql)
    return None


def also_at(sql: str, span: Span, datasets: Collection[str]) -> list[Span]:
    """Return the other places where the column at ``span`` stands, written as it is there.

    Args:
        sql: As typed.
        span: Of a column.
        datasets: Those that have a column of its name; where the statement reads several of them, nothing is returned,
            since a bare name does not say which is meant.
    """
    try:
        tree = sqlglot.parse_one(sql, dialect=DIALECT)
    except (SqlglotError, RecursionError):
        return []
    tables = {f"{each.db}.{each.name}".lower() for each in tree.find_all(exp.Table)}
    if len(tables & set(datasets)) != 1:
        return []
    columns = [(each.sql(DIALECT), span_of(each)) for each in tree.find_all(exp.Column)]
    wanted = next((words for words, place in columns if _same(place, span)), None)
    found = (place for words, place in columns if words == wanted and place is not None)
    return sorted((each for each in found if not _same(each, span)), key=lambda each: each.start)


def _same(one: Span | None, other: Span) -> bool:
    return one is not None and (one.start, one.end) == (other.start, other.end)


def place_at(sql: str, line: int, column: int) -> Span | None:
    """Return the character at a line and column, both from 1; None where the statement has no such line."""
    lines = sql.splitlines(keepends=True)
    if not 1 <= line <= len(lines):
        return None
    within = max(0, min(column, len(lines[line - 1])) - 1)
    start = sum(map(len, lines[: line - 1])) + within
    return Span(start, min(start + 1, len(sql)), line, within + 1)


def _span(start: int, end: int, sql: str) -> Span:
    before = sql[:start]
    return Span(start, end, before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1)
