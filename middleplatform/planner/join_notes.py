"""What an answer by private join says of itself: the assumption, duplicates, caps."""

from collections.abc import Iterable
from decimal import Decimal

from middleplatform.model.catalog import Catalog
from middleplatform.model.join import BLINDED, JoinProtocol
from middleplatform.model.plan import Layout
from middleplatform.model.query import Rows
from middleplatform.planner.join_caps import measured

__all__ = ["notes_of"]

Note = tuple[str, str]
_HELPER: Note = (
    "Departments' rows were joined in private; this assumes that the gateway colludes with no department.",
    "各部门的数据行以隐私方式连接；前提是网关不与任何部门串通。",
)
_BLINDED: Note = (
    (
        "Departments' rows were joined in private on doubly blinded keys; this assumes that the gateway and the"
        " department that removes the masks do not collude."
    ),
    "各部门的数据行按双重盲化的键以隐私方式连接；前提是网关与去除掩码的部门不串通。",
)


def notes_of(
    rows: Rows,
    layout: Layout,
    datasets: Iterable[str],
    catalog: Catalog,
    caps: tuple[int, ...],
    protocol: JoinProtocol,
) -> tuple[Note, ...]:
    """Return the sentences of a private join, each made without data."""
    found = [_BLINDED if protocol is BLINDED else _HELPER]
    once = [name for name in datasets if catalog.datasets[name].rows_by]
    if once:
        names = ", ".join(once)
        found.append(
            (
                f"Duplicate registrations count once: {names}.",
                f"重复登记只计一次：{names}。",
            )
        )
    for word, cap in zip(layout.sums, caps, strict=True):
        if cap < 0:
            continue
        columns = measured(word.operand, rows)
        names = ", ".join(f"{dataset}.{column}" for dataset, column in columns) or "COUNT(*)"
        most = format(Decimal(cap).scaleb(-word.scale).normalize(), "f")
        found.append(
            (
                f"One unit counts for at most {most} in the sum of {names}.",
                f"对 {names} 求和时，每个单元最多计 {most}。",
            )
        )
    return tuple(dict.fromkeys(found))
