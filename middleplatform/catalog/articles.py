"""Which rule makes a field of the catalogue mandatory, for the message that it is missing.

Decree 809 is 《政务数据共享条例》, in force since 2025-08-01.
"""

from collections.abc import Mapping

__all__ = ["ARTICLES"]

_ART_13 = ("decree 809 art. 13", "政务数据共享条例第十三条")
_OURS = ("platform rule", "平台规则")
_UNIT = ("implementing rules of the statistics law, art. 29", "统计法实施条例第二十九条")

ARTICLES: Mapping[str, tuple[str, str]] = {
    "code": _OURS,
    "name_zh": _ART_13,
    "name_en": _OURS,
    "region": _OURS,
    "owner": _ART_13,
    "steward": ("decree 809 art. 11", "政务数据共享条例第十一条"),
    "source_department": ("decree 809 art. 19", "政务数据共享条例第十九条"),
    "collection_basis": ("personal information protection law art. 34", "个人信息保护法第三十四条"),
    "update_frequency": _ART_13,
    "library": ("2017 catalogue guide", "政务信息资源目录编制指南"),
    "format": _ART_13,
    "sharing_mode": _ART_13,
    "use_conditions": _ART_13,
    "risk_assessed_on": _ART_13,
    "head_approval": _ART_13,
    "quality": _OURS,
    "unit": _UNIT,
    "unit_column": _UNIT,
    "columns": _ART_13,
    "type": _ART_13,
    "level": ("decree 809 art. 13; GB/T 43697-2024", "政务数据共享条例第十三条；GB/T 43697-2024"),
    "sharing": ("decree 809 art. 14", "政务数据共享条例第十四条"),
    "uses": _OURS,
}
