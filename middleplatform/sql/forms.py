"""Statements that are written once for many: blanks filled in, and the one form by which trees are compared.

Two statements have the same form only if their parsed trees are the same, node by node. Comments, white space, the
case of key words and unquoted names are no part of a tree; everything else is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import pairwise, product

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from middleplatform.errors import QueryError
from middleplatform.sql.parse import DIALECT
from middleplatform.sql.scope import identifier

__all__ = ["Form", "Parameters", "blanks", "canonical", "filled", "names", "statements"]

Form = bytes
"""SHA-256 of a tree that is written out: a policy's forms are many, and all of them are kept."""

Parameters = Sequence[tuple[str, Sequence[str]]]
"""(name, literals as SQL text)."""


def canonical(tree: exp.Expr) -> Form:
    """Return the digest of the tree, written from the top: every node with its parts, their names and their number.

    Raises:
        QueryError: Q010 a name that may not be.
    """
    written: list[str] = []
    left: list[object] = [tree]
    while left:
        each = left.pop()
        if isinstance(each, exp.Identifier):
            written += ("name", identifier(each))
        elif isinstance(each, exp.Expr):
            parts = [(name, part) for name, part in sorted(each.args.items()) if _filled(part)]
            written += (type(each).__name__, str(len(parts)))
            for name, part in reversed(parts):
                left += (part, _Name(name))
        elif isinstance(each, list):
            written += ("list", str(len(each)))
            left += reversed(each)
        elif isinstance(each, _Name):
            written.append(each)
        else:
            written += (type(each).__name__, str(each))
    return sha256(repr(written).encode()).digest()


def names(tree: exp.Expr) -> tuple[str, ...]:
    """Return every name in a tree, sorted: no literal changes them.

    Raises:
        QueryError: Q010 a name that may not be.
    """
    return tuple(sorted(identifier(each) for each in tree.find_all(exp.Identifier)))


class _Name(str):
    """Name of a node's part, told from a part that is a text."""

    __slots__ = ()


def _filled(part: object) -> bool:
    """Say whether a part is there at all: a node may name parts that it does not have."""
    return part is not None and part is not False and part != []


def blanks(sql: str) -> tuple[str, ...]:
    """Return the names of the blanks of ``sql``, each once, in the order in which they stand.

    Raises:
        QueryError: Q001 no SQL.
    """
    return tuple(dict.fromkeys(name for name, _, _ in _places(sql)))


def filled(sql: str, values: Mapping[str, str]) -> str:
    """Return ``sql`` with each blank replaced by its literal; what has no value stays as it is.

    Args:
        sql: With ``:name`` in the places of literals.
        values: Literals as SQL text, by name.

    Raises:
        QueryError: Q001 no SQL.
    """
    return _filled_in(sql, _places(sql), values)


def _filled_in(sql: str, places: Iterable[tuple[str, int, int]], values: Mapping[str, str]) -> str:
    made, last = "", 0
    for name, start, end in places:
        if name in values:
            # Apart from what stands before it: ``-`` and ``-1`` would begin a comment.
            gap = "" if sql[:start][-1:].isspace() else " "
            made, last = f"{made}{sql[last:start]}{gap}{values[name]}", end
    return made + sql[last:]


def statements(sql: str, parameters: Parameters) -> tuple[str, ...]:
    """Return every statement that ``sql`` stands for, in the order in which the literals are listed.

    Raises:
        QueryError: Q001 no SQL; Q010 a blank without literals, or literals for none.
    """
    names = [name for name, _ in parameters]
    places = tuple(_places(sql))
    wrong = sorted({name for name, _, _ in places} ^ {*names})
    if wrong:
        shown = ", ".join(f":{name}" for name in wrong)
        what = (
            f"blanks that do not match the literals ({shown})",
            f"占位符与取值不符（{shown}）",
        )
        raise QueryError("Q010", rule="R0", what=what)
    chosen = product(*(values for _, values in parameters))
    return tuple(_filled_in(sql, places, dict(zip(names, each, strict=True))) for each in chosen)


def _places(sql: str) -> Iterator[tuple[str, int, int]]:
    """Yield (name, start, end) of every blank: a colon with a word right behind it."""
    try:
        tokens = sqlglot.tokenize(sql, dialect=DIALECT)
    except SqlglotError:
        raise QueryError("Q001", rule="R0", line=1, column=1) from None
    for colon, word in pairwise(tokens):
        # What is quoted is longer in the text than in its token.
        bare = all(each.end - each.start + 1 == len(each.text) for each in (colon, word))
        right_behind = word.start == colon.end + 1
        if colon.text == ":" and bare and right_behind and word.text.isidentifier():
            yield word.text, colon.start, word.end + 1
