"""Is a key counted in the form in which it is joined, whatever its text?"""

from datetime import date
from itertools import chain, combinations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from connectors.duckdb import DuckDBConnector
from middleplatform.demo.keys import identity_numbers
from middleplatform.model.catalog import ColumnType, TypeKind
from middleplatform.node.registration.kernel import ColumnCheck, ProfileKernel, added_up
from middleplatform.node.registration.normal import normalised
from middleplatform.node.registration.profile import Faults
from middleplatform.node.registration.safe import safe_counts, safe_normal
from middleplatform.node.registration.survey import TableSurvey
from middleplatform.planner.join_normal import STEPS as WRITTEN

STEPS = ("trim", "halfwidth", "upper", "id18")
SUBSETS = tuple(chain.from_iterable(combinations(STEPS, size) for size in range(1, 5)))
NUMBER = identity_numbers(["99010119990101001"])[0]
OLD = NUMBER[:6] + NUMBER[8:17]
WIDE = "".join(chr(ord(each) + 0xFEE0) for each in OLD)
KNOWN = (
    None, "", " ", "\u3000", "\u00a0x ", NUMBER, f" {NUMBER}\t", NUMBER.lower(), OLD, f"{OLD} ", WIDE,
    "Ａbｃ", "一", "ß", "ı", "\uff0b", OLD[:-1], OLD + "1", "\n", "a\u3000b", "⑨", "٣" * 15,
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(KNOWN),
    st.text(st.sampled_from(" \t\u3000\u00a00189xXａＸ０９٣一"), max_size=18),
)


def engine_forms(texts, steps):
    """Return each text as the statement of a private join has it."""
    node = exp.column("k")
    for step in steps:
        node = WRITTEN[step](node)
    with duckdb.connect() as database:
        database.register("texts", pa.table({"k": pa.array(texts, pa.string())}))
        found = database.sql(f"SELECT {node.sql('duckdb')} AS k FROM texts").to_arrow_table()
    return found["k"].to_pylist()


@pytest.mark.parametrize("steps", SUBSETS)
def test_known_texts_have_one_form_in_engine_and_profile(steps):
    assert normalised(pa.array(KNOWN, pa.string()), steps).to_pylist() == engine_forms(KNOWN, steps)


@settings(max_examples=50)
@given(st.lists(TEXTS, min_size=1, max_size=30), st.sampled_from(SUBSETS))
def test_any_texts_have_one_form_in_engine_and_profile(texts, steps):
    assert normalised(pa.array(texts, pa.string()), steps).to_pylist() == engine_forms(texts, steps)


def test_a_part_of_an_array_is_normalised_as_that_part():
    texts = pa.array(["1", OLD, "2", OLD, None, "3"])
    assert normalised(texts.slice(1, 4), STEPS).to_pylist() == [
        normalised(pa.array([OLD]), STEPS)[0].as_py(), "2", normalised(pa.array([OLD]), STEPS)[0].as_py(), None,
    ]  # fmt: skip


def test_different_forms_are_counted_by_the_engine(tmp_path):
    path = tmp_path / "keys.duckdb"
    texts = [NUMBER, f" {NUMBER}", OLD, WIDE, "x", "Ｘ", None, "\u3000"]
    with duckdb.connect(str(path)) as database:
        database.register("arriving", pa.table({"Key": pa.array(texts, pa.string())}))
        database.execute("CREATE TABLE keys AS SELECT * FROM arriving")
    connector = DuckDBConnector(path, threads=1, memory_mb=256)
    try:
        survey = TableSurvey(connector, "keys", connector.describe(["keys"])["keys"])
        assert survey.distinct("Key") == 7
        # The numbers of 18 and 15 characters are one person where the century and the check character fit.
        wanted = {form for form in engine_forms(texts, STEPS) if form is not None}
        assert survey.distinct_normal("Key", STEPS) == len(wanted) == 2
    finally:
        connector.close()


def test_the_kernel_counts_what_steps_alter_and_what_they_leave_wrong():
    kind = ColumnType(TypeKind.TEXT)
    check = ColumnCheck("k", kind, kind, "identity", normalise=("trim", "id18"))
    texts = pa.array([NUMBER, f" {NUMBER}", OLD, NUMBER.lower() + "x", WIDE, None, " "])
    batch = pa.RecordBatch.from_arrays([texts], names=["k"])
    table = pa.Table.from_batches(ProfileKernel((check,), date(2026, 3, 1))(iter([batch])))
    counts = added_up(table)["k"]
    assert (counts["normal"], counts["normal_changed"], counts["normal_wrong"]) == (5, 2, 2)


@given(
    st.lists(st.integers(0, 90), min_size=4, max_size=4), st.integers(1, 30),
    st.lists(st.integers(0, 200), min_size=3, max_size=3),
)  # fmt: skip
def test_no_sum_or_difference_with_a_shown_normal_count_is_small(parts, least, normal):
    rows = sum(parts)
    shown = safe_counts(Faults(rows, *parts[:3]), min(parts), least)
    names = ("duplicates_normal", "normal_changed", "normal_wrong")
    more = safe_normal(rows, shown, dict(zip(names, normal, strict=True)), least)
    known = [
        rows,
        *(
            shown[name]
            for name in ("missing", "normalisable", "invalid", "duplicates")
            if shown[name] is not None
        ),
    ]
    for count in filter(None, more.values()):
        assert count >= least
        assert all(abs(count - other) >= least for other in known)
        assert all(
            abs(count + one - other) >= least
            for one in known
            for other in known
            if one is not other
        )
        known.append(count)
