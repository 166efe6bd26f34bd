"""What comparing two logs can find, in words.

Spec: docs/spec/audit-log.md, "Reconciling two logs".
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Kind", "Tally"]


class Kind(StrEnum):
    """What is wrong; all but ``OUTSIDE`` are faults."""

    NOT_AT_NODE = "not_at_node"
    NOT_AT_PLATFORM = "not_at_platform"
    HIDDEN = "hidden"
    UNENDED = "unended"
    DIFFERS = "differs"
    BAD_RECEIPT = "bad_receipt"
    TWICE = "twice"
    OUTSIDE = "outside"


_SENTENCES = {
    Kind.NOT_AT_NODE: (
        "the platform holds a receipt that the department's log does not know",
        "平台持有部门日志中没有的回执",
    ),
    Kind.NOT_AT_PLATFORM: (
        "the department answered, and the platform's entry of the release lacks the receipt",
        "部门已应答，而平台的发布记录中没有该回执",
    ),
    Kind.HIDDEN: (
        "the department was asked, and the platform's log does not know the query",
        "部门收到过请求，而平台日志中没有该查询",
    ),
    Kind.UNENDED: (
        "the department was asked, and the platform's log does not say how the query ended",
        "部门收到过请求，而平台日志未记录该查询的结果",
    ),
    Kind.DIFFERS: ("the two logs differ in: {names}", "两份日志不一致：{names}"),
    Kind.BAD_RECEIPT: (
        "a receipt is not one that the department signed for this entry",
        "回执不是该部门为该记录签署的",
    ),
    Kind.TWICE: ("the same thing is entered twice", "同一事项重复记录"),
    Kind.OUTSIDE: (
        "only one log reaches this moment: compare again with logs that were taken later",
        "仅一份日志覆盖该时刻：请用更晚导出的日志重新核对",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the two logs do not agree on.

    Attributes:
        kind: What.
        query_id: Of which query.
        platform_index: Of the entry in the platform's log, or None.
        node_index: Of the entry in the department's log, or None.
        names: Of the members that differ.
    """

    kind: Kind
    query_id: str
    platform_index: int | None = None
    node_index: int | None = None
    names: tuple[str, ...] = ()

    @property
    def fault(self) -> bool:
        """Whether something is missing or wrong, not merely later than one of the logs."""
        return self.kind is not Kind.OUTSIDE

    @property
    def what(self) -> tuple[str, str]:
        """Return the finding as a sentence part in English and Chinese."""
        english, chinese = _SENTENCES[self.kind]
        names = ", ".join(self.names)
        return english.format(names=names), chinese.format(names=names)


@dataclass(slots=True)
class Tally:
    """How much was compared.

    Attributes:
        platform: Entries read of the platform's log.
        node: Entries read of the department's log.
        matched: Receipts that both logs hold alike.
        not_released: Answers of the department to queries that the platform then refused or failed.
        own: Questions asked inside the department.
        unsigned: Refusals of messages that nobody's signature stood under.
    """

    platform: int = 0
    node: int = 0
    matched: int = 0
    not_released: int = 0
    own: int = 0
    unsigned: int = 0
