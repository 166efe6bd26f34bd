"""The chart of an answer: what labels, what is drawn, where something was withheld, how wide the noise is."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest
from doors import noisy_release

from middleplatform.access import shapes
from middleplatform.model.result import Release
from middleplatform.web.console.answered import Answered
from middleplatform.web.console.charting import axes, chart
from middleplatform.web.console.stages import stage_words


def _of(intervals=None, marks=None, **columns):
    table = pa.table(columns)
    told = {name: pa.nulls(table.num_rows, pa.string()) for name in table.column_names}
    release = Release(table, pa.table(told | (marks or {})), (), (), "ab" * 32, intervals)
    return Answered(release, {"columns": shapes.columns(table)})


@pytest.mark.parametrize(
    ("found", "along", "values"),
    [
        (_of(区=["a"], n=[1]), [0], [1]),
        (_of(year=[2020, 2021], n=[1, 2]), [0], [1]),
        (_of(year=[2020, 2021], sex=["1", "2"], n=[1, 2], m=[3, 4]), [0, 1], [2, 3]),
        (_of(n=[5]), [], [0]),
        (_of(n=[5], m=[Decimal("1.5")]), [0], [1]),
        (_of(marks={"n": pa.array(["threshold"])}, n=pa.array([None], pa.int64()), m=[2]), [], [1]),
        (_of(only=["a"]), [0], []),
    ],
)  # fmt: skip
def test_texts_and_first_whole_numbers_label_and_the_rest_is_drawn(found, along, values):
    assert axes(found) == (along, values)


def test_years_and_days_are_a_line_and_names_are_bars():
    kinds = [
        chart(found, 1, "en")["kind"]
        for found in (
            _of(year=[2020, 2021], n=[1, 2]), _of(day=[date(2020, 1, 1), date(2021, 1, 1)], n=[1, 2]),
            _of(区=["a", "b"], n=[1, 2]), _of(year=[2020], n=[1]),
        )
    ]  # fmt: skip
    assert kinds == ["line", "line", "bar", "bar"]


def test_a_second_label_makes_series_and_what_is_missing_in_one_is_no_number():
    found = chart(_of(区=["a", "a", "b"], sex=["1", "2", "1"], n=[1, 2, 3]), 2, "en")
    assert found["x"] == ["a", "b"]
    assert [(each["name"], each["values"]) for each in found["series"]] == [
        ("1", [1, 3]),
        ("2", [2, None]),
    ]


def test_withheld_values_stay_empty_and_noise_has_edges():
    noisy = noisy_release()
    answer = Answered(noisy, {"columns": shapes.columns(noisy.table)})
    found = chart(answer, 1, "zh")
    (series,) = found["series"]
    assert found["x"] == ["990101", "=1+1", "—"]
    assert series["values"] == [15, None, 12]
    assert series["low"] == [2.75, None, -0.25]
    assert series["high"] == [27.25, None, 24.25]
    assert found["withheld"] == "已抑制"


def test_an_answer_without_labels_is_one_bar_and_a_sealed_one_has_nothing_to_draw():
    found = _of(n=[7])
    assert chart(found, 0, "en")["series"][0]["values"] == [7]
    assert axes(replace(found, sealed=True)) == ([], [])


def test_a_chart_is_bounded():
    found = chart(
        _of(区=[str(n) for n in range(500)], s=[str(n) for n in range(500)], n=list(range(500))),
        2,
        "en",
    )
    assert (len(found["x"]), len(found["series"])) == (200, 8)


@pytest.mark.parametrize(
    ("status", "stage", "said"),
    [
        ("queued", None, "Waiting for a place"),
        ("running", None, "Judging the question"),
        ("running", ("dispatch", 0, 1), "Departments are computing"),
        (
            "running",
            ("join: rows received", 1, 3),
            "Departments match their rows in private: rows received",
        ),
        ("running", ("new", 1, 3), "Departments are computing"),
    ],
)
def test_every_stage_has_words(status, stage, said):
    english, chinese = stage_words(status, stage)
    assert english == said
    assert chinese
