"""What each rule says, in one sentence part for people, English and Chinese."""

from collections.abc import Mapping

__all__ = ["RULES", "rule_text"]

RULES: Mapping[str, tuple[str, str]] = {
    "R0": ("what the platform does not know it does not run", "平台不认识的内容一律不执行"),
    "R1": ("a denied or not shared column stands nowhere", "禁用或不予共享的列不得出现在任何位置"),
    "R2": (
        (
            "a key stands only in key = key of a join, in COUNT(DISTINCT key), or as the grouping "
            "of an inner block that is aggregated again"
        ),
        "键只能用于等值连接、COUNT(DISTINCT 键)，或作为再次聚合的内层分组",
    ),
    "R3": (
        (
            "a measure stands only in SUM, AVG, VAR, STDDEV of affine expressions, or beside a "
            "registered breakpoint"
        ),
        "度量只能用于仿射表达式的 SUM、AVG、VAR、STDDEV，或与登记的断点比较",
    ),
    "R4": (
        (
            "a dimension is grouped or compared with literals, a date only in an allowed bucket, "
            "and only a few columns are grouped at once"
        ),
        "维度只能分组或与常量比较，日期只能按允许的粒度使用，分组列数有限",
    ),
    "R5": (
        "every cell, condition and complement covers at least the threshold of distinct units",
        "每个单元格、条件及其补集都须达到最小单元数",
    ),
    "R6": ("HAVING acts on released cells only", "HAVING 只作用于已发布的单元格"),
    "R7": ("a window runs only over released groups", "窗口函数只能用于已发布的分组"),
    "R8": ("ORDER BY acts on released cells only", "ORDER BY 只作用于已发布的单元格"),
    "R9": (
        "LIMIT and OFFSET act on released cells only, and nothing is sampled",
        "LIMIT、OFFSET 只作用于已发布的单元格，不得抽样",
    ),
    "R10": (
        "a join is written out, inner or left, on equality of keys",
        "连接必须明确写出，为内连接或左连接，且只按键相等",
    ),
    "R11": (
        "only aggregated blocks are united, by UNION ALL",
        "只能用 UNION ALL 合并已聚合的查询块",
    ),
    "R12": (
        "a subquery is uncorrelated and aggregated, and stands in FROM or in a projection",
        "子查询不得相关，须已聚合，且只能位于 FROM 或投影中",
    ),
    "R13": ("an expression gives a value on every row", "表达式对每一行都必须有值"),
    "R14": (
        "an answer is not given that differs by a few units from one already given",
        "与已发布答案仅差少数单元的答案不予发布",
    ),
    "G1": ("conditional data needs a grant that still holds", "有条件共享的数据需要有效授权"),
    "G2": ("the purpose is stated, known and allowed", "使用目的必须申明、已登记且被允许"),
    "G3": ("rows lie in a region within the scope", "数据行的区域必须在授权范围内"),
    "G5": ("the project is registered", "项目须已登记"),
    "G4": ("the answer stays in the subject's own department", "结果只能由申请人所在部门使用"),
}


def rule_text(rule: str) -> tuple[str, str]:
    """Return the (English, Chinese) sentence part of ``rule``; that of R0 for an unknown one."""
    return RULES.get(rule, RULES["R0"])
