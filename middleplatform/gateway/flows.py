"""What crosses the wire for a question, told before anything runs: who sends what to whom, and how much at most.

Sizes are upper bounds from the statement, the policy's bound on cells, code lists and declared sizes of tables; never
from data. Spec: docs/ARCHITECTURE.md, "What crosses the wire".
"""

from collections.abc import Iterator
from math import prod

from middleplatform.model.catalog import Catalog
from middleplatform.model.join import JoinPlan
from middleplatform.model.plan import Block, Plan
from middleplatform.model.policy import Bundle
from middleplatform.model.query import Case, Coalesce, Field, RowExpression, Table, UnitBlock
from middleplatform.model.request import QueryRequest
from middleplatform.model.result import Flow
from middleplatform.planner.join_cost import declared, rows_of, side_bytes
from middleplatform.sql.rename import relations

__all__ = ["flows"]

_FRAGMENT_BYTES = 1_200  # subject, purpose, digests, signature, message around it
_RECEIPT_BYTES = 2_000
_LABEL_BYTES, _WORD_BYTES, _CODE_BYTES = 24, 8, 32
_HELLO_BYTES = 400
_PLACE_BYTES = 4

Pair = tuple[str, str]
_FRAGMENT: Pair = ("the signed fragment: one aggregate statement", "签名片段：一条聚合语句")
_CELLS: Pair = ("released cells, marks, a signed receipt", "已发布的单元格、抑制标记与签名回执")
_SEALED: Pair = ("labels, marks, ciphertexts, a signed receipt", "标签、抑制标记、密文与签名回执")
_MASKED: Pair = ("masked words of nameless groups, a signed receipt", "无名分组的掩码值与签名回执")
_LIST: Pair = (
    "nameless rows in a secret order: tokens, codes, masked words",
    "打乱次序的无名行：令牌、编码与掩码值",
)
_PLACES: Pair = ("places of rows in shuffled lists", "打乱后列表中的位置")
_SUMS: Pair = ("sums of masks of groups that pass", "达到门限的分组的掩码之和")
_KEYS: Pair = ("hellos and sealed keys, relayed", "转交的公钥与封装密钥")
_ASKED: Pair = ("the question and its purpose", "查询语句与使用目的")
_ANSWER: Pair = ("the answer with its proof", "带有证明的结果")


def flows(
    request: QueryRequest, plan: Plan, catalog: Catalog, bundle: Bundle, key_holder: str
) -> tuple[Flow, ...]:
    """Return what each party would send, in order.

    Args:
        request: The question.
        plan: How it would be answered.
        catalog: For code lists and declared sizes.
        bundle: For the bound on cells.
        key_holder: Party that removes the masks of private joins; empty where there is none.
    """
    sealed = bool(request.sealed_for)
    found = [Flow("analyst", "gateway", _ASKED, len(request.sql.encode()) + 300)]
    out = 0
    for block in plan.blocks:
        cells = _cells(block, catalog, bundle.limits.cells_max)
        size = cells * _cell_bytes(block)
        out += size
        if block.join is not None:
            found += _join(block, block.join, catalog, key_holder, size)
        else:
            found += _asked(block, size, sealed=sealed)
    found.append(Flow("gateway", "analyst", _ANSWER, out + _RECEIPT_BYTES))
    return tuple(found)


def _asked(block: Block, size: int, *, sealed: bool) -> Iterator[Flow]:
    fragment = len(block.sql.encode()) + _FRAGMENT_BYTES
    several = block.protocol == "secure_sum"
    for each in block.departments:
        hellos = _HELLO_BYTES * len(block.departments) if several else 0
        yield Flow("gateway", each, _FRAGMENT, fragment + hellos)
        told = _SEALED if sealed else _MASKED if several else _CELLS
        codes = size // _LABEL_BYTES * _CODE_BYTES if several else 0
        yield Flow(each, "gateway", told, size + codes + hellos + _RECEIPT_BYTES)


def _join(
    block: Block, plan: JoinPlan, catalog: Catalog, key_holder: str, size: int
) -> Iterator[Flow]:
    fragment = len(block.sql.encode()) + _FRAGMENT_BYTES
    parties = [*plan.departments, *([key_holder] if key_holder else [])]
    for each in parties:
        yield Flow("gateway", each, _FRAGMENT, fragment)
        yield Flow("gateway", each, _KEYS, _HELLO_BYTES * len(parties))
    sizes = declared(catalog)
    for side in plan.sides:
        rows = rows_of(side, sizes)
        for each in side.departments:
            moved = None if rows is None else side_bytes(side, rows) + _RECEIPT_BYTES
            yield Flow(each, "gateway", _LIST, moved)
        if side.words:
            helper = plan.helper(side.number, key_holder)
            places = None if rows is None else rows * _PLACE_BYTES
            yield Flow("gateway", helper, _PLACES, places)
            yield Flow(helper, "gateway", _SUMS, size)


def _cell_bytes(block: Block) -> int:
    layout = block.layout
    words = (
        2 * len(layout.populations) + len(layout.sums) + 2 * len(layout.squares)
        + len(layout.keys) + len(layout.others)
    )  # fmt: skip
    return _LABEL_BYTES * len(block.cell.dimensions) + (_WORD_BYTES + 4) * (words + 1)


def _cells(block: Block, catalog: Catalog, most: int) -> int:
    """Return how many cells there can be: by code lists where all are known, else as policy bounds it."""
    tables = {
        each.alias: each.dataset for each in relations(block.cell.rows) if isinstance(each, Table)
    }
    for each in relations(block.cell.rows):
        if isinstance(each, UnitBlock):
            return most
    counts = [_values(each.expression, tables, catalog) for each in block.cell.dimensions]
    return min(most, prod(counts)) if all(counts) else most


def _values(expression: RowExpression, tables: dict[str, str], catalog: Catalog) -> int:
    """Return how many values a grouping expression can have, the missing one too; 0 where nobody knows."""
    match expression:
        case Field(relation=relation, name=name) if relation in tables:
            codes = len(catalog.datasets[tables[relation]].columns[name].codes)
            return codes + 1 if codes else 0
        case Case(branches=branches):
            return len(branches) + 1
        case Coalesce(operand=operand):
            return _values(operand, tables, catalog)
        case _:
            return 0
