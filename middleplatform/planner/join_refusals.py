"""Forms that no private join answers, each with the form that would pass."""

from collections.abc import Mapping
from types import MappingProxyType

from middleplatform.errors import QueryError

__all__ = ["FORMS", "refused"]

FORMS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "nested": (
            ("a subquery that joins rows of several departments by unit"
            " (join in the outer statement: FROM a JOIN (SELECT id, SUM(x) ... GROUP BY id) b ON a.id = b.id)"),
            "逐单元子查询内连接多个部门的数据行（请在外层连接：FROM a JOIN (SELECT id, SUM(x) ... GROUP BY id) b）",
        ),
        "one key": (
            "departments joined on more than one key (join all of them on one unit's key: a.id = b.id AND b.id = c.id)",
            "部门之间按多个键连接（请让各部门都按同一单元的键连接：a.id = b.id AND b.id = c.id）",
        ),
        "unit": (
            ("rows of one unit joined on the key of another"
            " (begin FROM the table of the joined unit, and group the other by that key in a subquery)"),
            "一种单元的数据行按另一种单元的键连接（请从被连接单元的表开始 FROM，并在子查询中按该键对另一表分组）",
        ),
        "key type": (
            "keys of different types joined across departments (register the key as text in both)",
            "跨部门连接的键类型不同（请在两个部门都将键登记为文本）",
        ),
        "parts": (
            ("a table in several departments joined on a key that does not name its unit"
            " (join it on its unit's key)"),
            "由多个部门分存的表按并非其单元的键连接（请按其单元的键连接）",
        ),
        "overlap": (
            "tables that share some of their departments and not all (ask each set of departments by itself)",
            "数据表的持有部门部分重叠（请分别查询各组部门）",
        ),
        "outer twice": (
            ("two outer joins with tables of one department, or an outer join inside a department beside others"
            " (put one department's tables together in a subquery that groups by the key)"),
            "对同一部门的多张表外连接，或在跨部门连接的同时于部门内外连接（请在按键分组的子查询中先合并该部门的表）",
        ),
        "onward": (
            "a join onto the right side of a left join (join every table to the first one)",
            "在左连接的右表之后继续连接（请让各表都与第一张表连接）",
        ),
        "across": (
            "a condition over columns of several departments (write one condition for each department, joined by AND)",
            "一个条件涉及多个部门的列（请为每个部门各写一个条件，用 AND 连接）",
        ),
        "dimension": (
            "a group over columns of several departments (group by each department's expression by itself)",
            "一个分组表达式涉及多个部门的列（请按各部门各自的表达式分组）",
        ),
        "where outer": (
            "WHERE on a table that is joined by LEFT JOIN (put the condition into its ON, or write JOIN)",
            "WHERE 条件涉及左连接的表（请将条件写入 ON，或改用 JOIN）",
        ),
        "anti": (
            "a column of a table whose rows are missing (leave out the column: it is NULL in every row)",
            "引用了不存在匹配行的表的列（请去掉该列：它在每一行都为 NULL）",
        ),
        "measure": (
            ("one department's measure under another department's condition"
            " (group by the condition, or put it into WHERE)"),
            "以一个部门的条件限定另一部门的度量（请按该条件分组，或将其写入 WHERE）",
        ),
        "sum": (
            ("measures of several departments in one aggregate, where one may be missing"
            " (add up the aggregates: SUM(a.x) + SUM(b.y))"),
            "一个聚合内含多个部门的度量，且其中有的可能缺失（请将聚合相加：SUM(a.x) + SUM(b.y)）",
        ),
        "unmatched": (
            "a condition that holds where a LEFT JOIN found no row (group by the expression, or ask for IS NULL alone)",
            "左连接未匹配的行也满足的条件（请按该表达式分组，或单独用 IS NULL 查询）",
        ),
        "default": (
            "a measure of a LEFT JOIN with a default other than 0 (write COALESCE(x, 0))",
            "左连接表的度量使用了非零缺省值（请写 COALESCE(x, 0)）",
        ),
        "many to many": (
            ("rows joined many to many (group one side by the key in a subquery, or fix the columns that tell"
            " its rows apart, such as the year: h.visit_year = 2019)"),
            "多对多连接（请在子查询中按键对一侧分组，或固定区分其行的列，例如年份：h.visit_year = 2019）",
        ),
        "fan": (
            ("a measure or condition of a table beside another with several rows a key"
            " (group the other by the key in a subquery, or fix the columns that tell its rows apart: its year)"),
            "另一侧每个键有多行时对本表求和或设条件（请在子查询中按键对另一侧分组，或固定区分其行的列，例如年份）",
        ),
        "left fan": (
            ("a LEFT JOIN with several rows a key (group it by the key in a subquery:"
            " LEFT JOIN (SELECT id, COUNT(*) AS n FROM b GROUP BY id) b ON a.id = b.id)"),
            "左连接的右表每个键有多行（请在子查询中按键分组：LEFT JOIN (SELECT id, COUNT(*) AS n FROM b GROUP BY id)）",
        ),
        "second key": (
            ("a distinct count of another key under a condition, or of a table with several rows a key"
            " (put the condition into WHERE, or fix the columns that tell the rows apart)"),
            "带条件地对另一种键去重计数，或该表每个键有多行（请将条件写入 WHERE，或固定区分其行的列）",
        ),
    }
)  # fmt: skip
"""(English, Chinese) by name: what the statement does, and in brackets what would pass."""


def refused(form: str, rule: str = "R10") -> QueryError:
    """Return the refusal of a form; it names no value, for it is decided without data."""
    return QueryError("Q031", rule=rule, what=FORMS[form])
