"""The accepted SQL as tables: allow-lists by exact node, never deny-lists.

Below the release boundary the binder has its own vocabulary (``model.query``); these tables serve what stands above
it, and tell an aggregate from a function and a total function from one that can fail on some rows.
"""

from sqlglot import exp

__all__ = [
    "AGGREGATE_NAMES", "DATE_UNITS", "PARTIAL", "PATTERNS", "POST_AGGREGATES", "POST_NODES", "POST_TYPES",
    "SELECT_PARTS", "WINDOW_FUNCTIONS", "is_aggregate",
]  # fmt: skip

# Functions and operators that fail, or overflow, on some values: refused over rows, since success tells (R13).
PARTIAL: frozenset[str] = frozenset({
    "ln", "log", "log2", "log10", "sqrt", "exp", "acos", "asin", "atanh", "acosh", "factorial", "to_date",
    "to_timestamp", "to_number", "strptime", "str_to_time", "str_to_date", "ts_or_ds_to_date", "cbrt", "gamma",
    "lgamma", "cot", "error", "cast", "try_cast", "chr", "make_date", "date_from_parts", "decode", "width_bucket",
})  # fmt: skip

PATTERNS: tuple[type[exp.Expr], ...] = (
    exp.Like, exp.ILike, exp.SimilarTo, exp.RegexpLike, exp.RegexpILike, exp.StartsWith, exp.Glob,
)  # fmt: skip

# Aggregates that the library parses as anonymous functions.
AGGREGATE_NAMES: frozenset[str] = frozenset({
    "histogram", "list", "bit_xor", "bit_and", "bit_or", "bool_and", "bool_or", "every", "any_value", "json_agg",
    "jsonb_agg", "xmlagg", "string_agg", "array_agg", "mode", "entropy", "product", "fsum", "kahan_sum", "quantile",
    "approx_count_distinct", "regr_slope", "corr", "covar_pop", "covar_samp", "min_by", "max_by", "arg_min", "arg_max",
    "range_agg", "json_object_agg", "jsonb_object_agg", "count_if", "bitstring_agg", "reservoir_quantile", "mad",
    "kurtosis", "skewness", "geomean", "favg", "sumkahan",
})  # fmt: skip

DATE_UNITS: tuple[str, ...] = ("month", "quarter", "year")

# Parts of a SELECT that have a meaning here; any other part that is filled refuses the statement.
SELECT_PARTS: frozenset[str] = frozenset({
    "expressions", "from_", "joins", "where", "group", "having", "order", "limit", "offset", "distinct", "with_",
})  # fmt: skip

WINDOW_FUNCTIONS: tuple[type[exp.Expr], ...] = (
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue,
)  # fmt: skip

POST_AGGREGATES: tuple[type[exp.Expr], ...] = (
    exp.Count, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.StddevSamp, exp.StddevPop, exp.Variance,
    exp.VariancePop,
)  # fmt: skip

POST_TYPES: frozenset[str] = frozenset({
    "INT", "BIGINT", "SMALLINT", "DECIMAL", "DOUBLE", "FLOAT", "TEXT", "VARCHAR", "DATE", "BOOLEAN",
})  # fmt: skip

# Nodes that may stand in an expression over released cells; each is total on DuckDB after the rewrites of post.py.
POST_NODES: frozenset[type[exp.Expr]] = frozenset({
    exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod,
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.And, exp.Or, exp.Not, exp.Between, exp.In, exp.Is,
    exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Round, exp.Abs, exp.Floor, exp.Ceil, exp.Greatest, exp.Least,
    exp.Cast, exp.DataType, exp.DataTypeParam, exp.DPipe, exp.Concat, exp.Upper, exp.Lower, exp.Trim, exp.Length,
    exp.Substring, exp.Extract, exp.Var, exp.TimestampTrunc, exp.DateTrunc, exp.Like, exp.Interval,
    exp.Window, exp.WindowSpec, exp.Order, exp.Ordered, exp.Filter, exp.Where, exp.Distinct, exp.Star,
    exp.Sign, *WINDOW_FUNCTIONS, *POST_AGGREGATES,
})  # fmt: skip


def is_aggregate(node: exp.Expr) -> bool:
    """Say whether ``node`` is an aggregate call (its FILTER or WITHIN GROUP wrapper included)."""
    if isinstance(node, exp.Filter | exp.WithinGroup):
        return True
    if isinstance(node, WINDOW_FUNCTIONS):
        return False
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in AGGREGATE_NAMES
    return isinstance(node, exp.AggFunc)
