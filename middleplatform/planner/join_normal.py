"""How a table is read for a private join: keys brought to one form, duplicate registrations left out.

All of it is plain SQL of every dialect, and total: no text makes a step fail, and a text that a step does not know
stays as it is.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlglot import exp

from middleplatform.model.catalog import Catalog, ColumnType, Dataset, TypeKind

__all__ = ["STEPS", "prepared"]

Read = Mapping[str, ColumnType]

_SPACES = " \t\r\n\u00a0\u3000"
_FULL = "".join(
    chr(0xFEE0 + ord(each))
    for each in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_HALF = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "0123456789"
_OLD_LENGTH, _REGION = 15, 6
_CENTURY = "19"
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
"""Check characters by remainder modulo 11, and the weights of the 17 digits before (GB 11643-1999)."""
_ID18 = "id18"
_NUMBER = "row number"  # no catalogue name has a space


def _text(value: str) -> exp.Expr:
    return exp.Literal.string(value)


def _number(value: int) -> exp.Expr:
    return exp.Literal.number(value)


def _translate(node: exp.Expr, these: str, those: str) -> exp.Expr:
    return exp.Anonymous(this="TRANSLATE", expressions=[node, _text(these), _text(those)])


def _trim(node: exp.Expr) -> exp.Expr:
    """Take spaces off both ends, full-width ones too; a text of nothing else is missing."""
    trimmed = exp.Trim(this=node, expression=_text(_SPACES), position="BOTH")
    return exp.Nullif(this=trimmed, expression=_text(""))


def _upper(node: exp.Expr) -> exp.Expr:
    """Raise the letters a to z: an engine's own UPPER depends on its locale."""
    return _translate(node, _LOWER, _UPPER)


def _halfwidth(node: exp.Expr) -> exp.Expr:
    return _translate(node, _FULL, _HALF)


def _id18(node: exp.Expr) -> exp.Expr:
    """Give a number of 15 digits the century 19 and its check character."""
    fifteen = exp.EQ(this=exp.Length(this=node.copy()), expression=_number(_OLD_LENGTH))
    digits = _only(node, "0-9")
    head = _part(node, 1, _REGION)
    tail = _part(node, _REGION + 1, _OLD_LENGTH - _REGION)
    long = exp.DPipe(
        this=exp.DPipe(this=exp.DPipe(this=head, expression=_text(_CENTURY)), expression=tail),
        expression=_check(node),
    )
    return exp.Case(
        ifs=[exp.If(this=exp.and_(fifteen, digits, copy=False), true=long)], default=node.copy()
    )


def _part(node: exp.Expr, start: int, length: int) -> exp.Expr:
    return exp.Substring(this=node.copy(), start=_number(start), length=_number(length))


def _check(node: exp.Expr) -> exp.Expr:
    places = [*range(1, _REGION + 1), None, None, *range(_REGION + 1, _OLD_LENGTH + 1)]
    fixed = sum(
        weight * int(digit) for weight, digit in zip(_WEIGHTS[_REGION:], _CENTURY, strict=False)
    )
    total: exp.Expr = _number(fixed)
    for place, weight in zip(places, _WEIGHTS, strict=True):
        if place is not None:
            product = exp.Mul(
                this=_number(weight), expression=exp.paren(_digit(node, place), copy=False)
            )
            total = exp.Add(this=total, expression=product)
    rest = exp.Mod(this=exp.paren(total, copy=False), expression=_number(len(_CHECKS)))
    start = exp.Add(this=exp.paren(rest, copy=False), expression=_number(1))
    return exp.Substring(this=_text(_CHECKS), start=start, length=_number(1))


def _digit(node: exp.Expr, place: int) -> exp.Expr:
    """Return a digit by its place among the digits: a cast would fail on other texts, evaluated or not."""
    found = exp.StrPosition(this=_text(_DIGITS), substr=_part(node, place, 1))
    return exp.Sub(this=found, expression=_number(1))


STEPS: Mapping[str, Callable[[exp.Expr], exp.Expr]] = {
    "trim": _trim,
    "upper": _upper,
    "halfwidth": _halfwidth,
    _ID18: _id18,
}
"""What each word of ``Column.normalise`` does."""


# --- a table as it is read ------------------------------------------------------------------------------------------


def prepared(
    catalog: Catalog, datasets: Sequence[str], *, doubles: bool = False
) -> dict[str, Callable[[exp.Select, Read], exp.Select]]:
    """Return, for each dataset that needs it, what turns a plain read into one of distinct, normalised rows.

    Args:
        catalog: Has the datasets.
        datasets: Their names.
        doubles: Leave duplicate registrations in: who reads looks for them.
    """

    def of(dataset: Dataset) -> Callable[[exp.Select, Read], exp.Select]:
        if doubles:
            return lambda inner, read: _normalised(inner, read, dataset)
        return lambda inner, read: _distinct(_normalised(inner, read, dataset), read, dataset)

    return {
        name: of(catalog.datasets[name])
        for name in datasets
        if catalog.datasets[name].rows_by
        or any(column.normalise for column in catalog.datasets[name].columns.values())
    }


def _normalised(inner: exp.Select, read: Read, dataset: Dataset) -> exp.Select:
    """Apply the steps of all columns, level by level: a text that is used often is worked out once."""
    waiting = {name: list(dataset.columns[name].normalise) for name in read}
    while any(waiting.values()):
        columns = [
            exp.alias_(_next(name, waiting[name]), name, quoted=True, copy=False) for name in read
        ]
        inner = _over(inner, columns)
    return inner


def _next(name: str, steps: list[str]) -> exp.Expr:
    """Return a column after its next steps, which are taken off the list."""
    stored = exp.column(_quoted(name))
    node: exp.Expr = stored
    while steps and (node is stored or steps[0] != _ID18):
        step = steps.pop(0)
        node = STEPS[step](node)
        if step == _ID18:
            return node
    if node is stored:
        return node
    # Nearly all keys are as they should be, and a look at them costs a tenth of the steps.
    return exp.Case(ifs=[exp.If(this=_only(stored, "0-9A-Z"), true=stored.copy())], default=node)


def _only(node: exp.Expr, characters: str) -> exp.Expr:
    """Say whether a text has something in it, and nothing but these characters.

    No anchors: what the end of a text is, engines see differently.
    """
    other = exp.RegexpLike(this=node.copy(), expression=_text(f"[^{characters}]"))
    some = exp.NEQ(this=node.copy(), expression=_text(""))
    return exp.and_(exp.Not(this=exp.paren(other, copy=False)), some, copy=False)


def _distinct(inner: exp.Select, read: Read, dataset: Dataset) -> exp.Select:
    """Keep one row of those with equal ``rows_by``: the first by the other columns, in the order of their names.

    Missing values are equal to each other here, and come last.
    """
    if not dataset.rows_by:
        return inner
    keys = [exp.column(_quoted(name)) for name in dataset.rows_by]
    others = sorted(set(read) - set(dataset.rows_by))
    if all(read[name].kind is not TypeKind.BOOLEAN for name in others) and len(others) <= 1:
        least = [
            exp.alias_(exp.Min(this=exp.column(_quoted(name))), name, quoted=True, copy=False)
            for name in others
        ]
        select = _over(inner, [*keys, *least])
        select.set("group", exp.Group(expressions=[each.copy() for each in keys]))
        return select
    order = [exp.Ordered(this=exp.column(_quoted(name)), nulls_first=False) for name in others]
    window = exp.Window(this=exp.RowNumber(), partition_by=keys, order=exp.Order(expressions=order))
    columns: list[exp.Expr] = [exp.column(_quoted(name)) for name in read]
    numbered = _over(inner, [*columns, exp.alias_(window, _NUMBER, quoted=True, copy=False)])
    select = _over(numbered, [each.copy() for each in columns])
    first = exp.EQ(this=exp.column(_quoted(_NUMBER)), expression=_number(1))
    select.set("where", exp.Where(this=first))
    return select


def _over(inner: exp.Select, columns: Sequence[exp.Expr]) -> exp.Select:
    select = exp.Select(expressions=list(columns))
    alias = exp.TableAlias(this=exp.to_identifier("stored"))
    select.set("from_", exp.From(this=exp.Subquery(this=inner, alias=alias)))
    return select


def _quoted(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)
