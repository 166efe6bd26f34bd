"""What leaves has one exact JSON shape, and problems are those of RFC 9457."""

import json
from datetime import date

import pyarrow as pa
import pytest

from middleplatform.access import shapes
from middleplatform.access.problems import CLASSES, problem
from middleplatform.errors import CODES, MiddleplatformError, PolicyError, QueryError
from middleplatform.model.decision import Reason, Span
from tests.fakes.doors import release


def test_rows_are_exact_and_withheld_values_are_null_with_a_mark():
    made = release()
    assert shapes.rows(made.table) == [
        ["990101", 15, "-10.50"],
        ["=1+1", None, None],
        [None, 12, "7.25"],
    ]
    assert shapes.marks(made.marks) == [
        {"row": 1, "column": 1, "reason": "threshold"},
        {"row": 1, "column": 2, "reason": "dominance"},
    ]
    assert [each["type"] for each in shapes.columns(made.table)] == [
        "text",
        "integer",
        "decimal(18,2)",
    ]


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (0.0, "0"),
        (12.25, "12.3"),
        (0.00012301, "0.000124"),
        (98765.4, "98800"),
        (999.5, "1000"),
        (5.0, "5.00"),
    ],
)
def test_half_widths_are_shown_to_three_digits_and_never_too_narrow(width, shown):
    assert shapes.half_width(width) == shown


def test_no_value_escapes_json():
    table = pa.table({
        "a": pa.array([float("nan"), float("inf"), 0.5]), "b": pa.array([True, None, False]),
        "c": pa.array([date(2026, 1, 2), None, None]),
    })  # fmt: skip
    text = json.dumps(shapes.rows(table), allow_nan=False)
    assert json.loads(text) == [[None, True, "2026-01-02"], [None, None, None], [0.5, False, None]]


def test_columns_of_one_name_are_kept_apart():
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"])
    assert shapes.rows(table) == [[1, 2]]


def refusal() -> PolicyError:
    error = PolicyError("P001", rule="R2", what=("a key", "主键"))
    span = Span(7, 16, 1, 8)
    error.reasons = (
        Reason(
            "R2",
            ("a key", "主键"),
            "ga.population.id_number",
            "ga",
            "2026.1",
            span,
            ("COUNT", "计数"),
        ),
    )
    error.audit_index = 4
    return error


@pytest.mark.parametrize(("locale", "title", "detail", "hint"), [
    ("en", "Refused by policy", "Refused by rule R2: a key.", "COUNT"),
    ("zh", "策略拒绝", "按规则 R2 拒绝：主键。", "计数"),
])  # fmt: skip
def test_problem_names_rule_place_owner_and_a_form_that_passes(locale, title, detail, hint):
    made = problem(refusal(), locale)
    assert (made["title"], made["detail"], made["hint"]) == (title, detail, hint)
    assert (made["type"], made["status"], made["code"], made["rule"]) == (
        "/v1/errors/P001",
        403,
        "P001",
        "R2",
    )
    assert made["span"] == {"start": 7, "end": 16, "line": 1, "column": 8}
    assert made["reasons"][0]["owner"] == "ga"
    assert made["audit_index"] == 4


def test_problem_never_carries_the_operators_detail():
    error = QueryError("Q041", what="query", detail="secret path")
    assert "secret" not in json.dumps(problem(error, "en"))


def test_every_code_has_a_class_title_in_both_languages():
    for code in CODES:
        english, chinese = CLASSES[code[0]]
        assert english
        assert chinese
    assert {each.prefix for each in MiddleplatformError.__subclasses__()} == set(CLASSES)
