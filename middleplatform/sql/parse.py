"""Text in, one SELECT out: length, depth and form are checked before anything looks at a name.

The library's parser is lenient (it drops what it does not know into generic nodes), so nothing here decides that a
statement is safe: the binder refuses every node that it does not know.
"""

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from middleplatform.errors import QueryError
from middleplatform.model.policy import Limits
from middleplatform.model.query import ParsedQuery

__all__ = ["DIALECT", "parse"]

DIALECT = "postgres"

# The library reads U&"\006E" as the bitwise AND of two columns: a name that we would never see.
_UNICODE_ESCAPE = re.compile(r"(?<![\w\"'])[uU]&\s*[\"']")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def parse(text: str, limits: Limits) -> ParsedQuery:
    """Parse one SELECT of the PostgreSQL dialect.

    Args:
        text: The statement, at most ``limits.sql_characters_max`` characters.
        limits: Bounds on length, depth and joins.

    Returns:
        The statement and its tree; comments are gone.

    Raises:
        QueryError: Q001 not SQL, Q002 too long, Q003 too deep, Q004 too many joins, Q010 not one SELECT.
    """
    if len(text) > limits.sql_characters_max:
        raise QueryError("Q002", rule="R0", limit=limits.sql_characters_max)
    if _nesting(text) > limits.depth_max:
        raise QueryError("Q003", rule="R0", limit=limits.depth_max)
    if _CONTROL.search(text) or _UNICODE_ESCAPE.search(text):
        raise _outside("an escaped or unprintable name", "转义或不可见的名称")
    tree = _only_statement(text)
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        raise _outside("a statement other than SELECT", "SELECT 以外的语句")
    _check_depth(tree, limits)
    return ParsedQuery(text=text, tree=tree)


def _only_statement(text: str) -> exp.Expr:
    try:
        found = sqlglot.parse(text, dialect=DIALECT, error_level=ErrorLevel.IMMEDIATE)
    except SqlglotError as error:
        line, column = _place(error)
        raise QueryError("Q001", rule="R0", line=line, column=column) from None
    except RecursionError:
        raise QueryError("Q003", rule="R0", limit="the parser's") from None
    statements = [
        tree for tree in found if tree is not None and not isinstance(tree, exp.Semicolon)
    ]
    if not statements:
        raise QueryError("Q001", rule="R0", line=1, column=1)
    if len(statements) > 1:
        raise _outside("more than one statement", "多条语句")
    tree = statements[0]
    assert isinstance(tree, exp.Expr)
    return tree


def _place(error: SqlglotError) -> tuple[int, int]:
    details = getattr(error, "errors", None) or [{}]
    return int(details[0].get("line") or 1), int(details[0].get("col") or 1)


def _nesting(text: str) -> int:
    """Return how deep parentheses and CASE nest, before a recursive parser sees them."""
    depth = deepest = 0
    for token in re.finditer(
        r"'(?:[^']|'')*'|\"[^\"]*\"|[()]|\b(?:case|end)\b", text, re.IGNORECASE
    ):
        word = token.group().lower()
        if word in ("(", "case"):
            depth += 1
            deepest = max(deepest, depth)
        elif word in (")", "end"):
            depth -= 1
    return deepest


def _check_depth(tree: exp.Expr, limits: Limits) -> None:
    joins, level, left = 0, [tree], limits.depth_max * 4
    while level:
        if not left:
            raise QueryError("Q003", rule="R0", limit=limits.depth_max)
        left -= 1
        joins += sum(isinstance(node, exp.Join) for node in level)
        level = [child for node in level for child in node.iter_expressions()]
    if joins > limits.joins_max:
        raise QueryError("Q004", rule="R0", limit=limits.joins_max)


def _outside(english: str, chinese: str) -> QueryError:
    return QueryError("Q010", rule="R0", what=(english, chinese))
