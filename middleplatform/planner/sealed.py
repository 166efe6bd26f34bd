"""Which statements may stand over sealed values: what the gateway cannot read, it cannot compute with.

A sealed statement is one release block and, above it, a plain list of its labels and aggregates with ORDER BY on
labels and LIMIT: everything else would need a value in the clear.
"""

from dataclasses import dataclass

from sqlglot import exp

from middleplatform.errors import QueryError
from middleplatform.model.plan import Plan
from middleplatform.model.query import QualifiedQuery
from middleplatform.sql.post import MARK

__all__ = ["SealedOutput", "sealed_outputs"]


@dataclass(frozen=True, slots=True)
class SealedOutput:
    """One output column.

    Attributes:
        name: Of the output.
        source: Column of the cells: ``d0`` ... for a label, ``a0`` ... for an aggregate.
    """

    name: str
    source: str

    @property
    def is_label(self) -> bool:
        """Say whether it shows a label."""
        return self.source.startswith("d")


def sealed_outputs(query: QualifiedQuery, plan: Plan) -> tuple[SealedOutput, ...]:
    """Return the output columns of a statement over sealed values.

    Raises:
        QueryError: Q031 for anything above the boundary that would read a value.
    """
    tree = query.post
    if len(plan.blocks) != 1 or len(query.cells) != 1:
        raise _refused(
            "several aggregated blocks in one sealed statement", "密封查询包含多个聚合块"
        )
    if query.label_only:
        raise _refused("a list of labels without any value", "只有标签而没有值的查询")
    if not isinstance(tree, exp.Select) or not isinstance(tree.args["from_"].this, exp.Table):
        raise _refused("a statement over another sealed statement", "对密封结果再查询")
    if tree.args.get("where") or tree.args.get("having"):
        raise _refused("HAVING or WHERE over sealed values", "对密封值使用 HAVING 或 WHERE")
    if any(tree.args.get(part) for part in ("joins", "group", "distinct", "windows", "qualify")):
        raise _refused("a join, a group or DISTINCT over sealed values", "对密封值连接、分组或去重")
    written = tree.expressions[::2]
    outputs = tuple(
        SealedOutput(name, _source(item.unalias()))
        for name, item in zip(plan.outputs, written, strict=True)
    )
    _check_order(tree, {item.alias: item for item in written})
    return outputs


def _source(node: exp.Expr) -> str:
    if isinstance(node, exp.Column) and not node.name.startswith(MARK):
        return str(node.name)
    raise _refused("an expression over sealed values", "对密封值的表达式")


def _check_order(tree: exp.Select, written: dict[str, exp.Expr]) -> None:
    order = tree.args.get("order")
    for key in [] if order is None else order.expressions:
        target = key.this
        if isinstance(target, exp.Column) and not target.table and target.name in written:
            target = written[target.name].unalias()
        if not isinstance(target, exp.Column) or not target.name.startswith("d"):
            raise _refused("ORDER BY a sealed value", "按密封值排序")


def _refused(english: str, chinese: str) -> QueryError:
    form_en = "; a sealed statement lists labels and aggregates, ORDER BY labels, LIMIT"
    form_zh = "；密封查询只能列出标签与聚合，按标签 ORDER BY，并可 LIMIT"
    return QueryError("Q031", rule="R8", what=(english + form_en, chinese + form_zh))
