"""The marks of withheld values and what they mean."""

from collections.abc import Mapping

__all__ = ["MARKS", "Mark", "mark_of"]

Mark = tuple[str, tuple[str, str]]

MARKS: Mapping[str, Mark] = {
    "threshold": ("[T]", ("fewer distinct units than the threshold", "不同单元数低于阈值")),
    "complement": ("[C]", ("the units left out are below the threshold", "其补集的单元数低于阈值")),
    "dominance": ("[D]", ("a few units make up most of it", "少数单元占比过大")),
    "p_percent": ("[P]", ("one unit could be estimated too closely", "单个单元可被过于精确地估算")),
    "homogeneity": ("[H]", ("all units of a group share the value", "组内所有单元取值相同")),
    "secondary": ("[S]", ("it would reveal another withheld value", "会推出另一个被抑制的值")),
    "overlap": ("[O]", ("too close to an answer already given", "与已发布的答案过于接近")),
}  # fmt: skip
"""By the reason that a release gives: the mark shown in its place, and (English, Chinese)."""


def mark_of(reason: str) -> Mark:
    """Return the mark of ``reason``; an unknown one is shown by its name."""
    return MARKS.get(reason, (f"[{reason}]", (reason, reason)))
