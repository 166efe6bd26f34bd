"""A class is proposed with reasons from names, types and shapes; the stricter wins; law is left to officers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.spi import ColumnDescription, TypeKind
from middleplatform import catalog as catalogs
from middleplatform.model.catalog import Level, Sharing, Use
from middleplatform.node.registration.proposals import Values, proposed
from middleplatform.policy.examples import example

TEXT, WHOLE, DECIMAL = TypeKind.TEXT, TypeKind.INTEGER, TypeKind.DECIMAL
EMPTY = Values(100, {}, 100)


def look(name, kind=TEXT, values=None, *more):
    return proposed(ColumnDescription(name, kind, 12, 2), (name, *more), values)


@pytest.mark.parametrize(
    ("name", "kind", "level", "use", "unit"),
    [
        ("sfzh", TEXT, 3, Use.KEY, "person"), ("公民身份号码", TEXT, 3, Use.KEY, "person"),
        ("ID_NUMBER", TEXT, 3, Use.KEY, "person"), ("uscc", TEXT, 1, Use.KEY, "firm"),
        ("户号", TEXT, 3, Use.KEY, "household"), ("姓名", TEXT, 3, Use.DENIED, ""),
        ("手机号", TEXT, 3, Use.DENIED, ""), ("mobile_phone", TEXT, 3, Use.DENIED, ""),
        ("家庭住址", TEXT, 3, Use.DENIED, ""), ("bank_card", TEXT, 4, Use.DENIED, ""),
        ("诊断编码", TEXT, 4, Use.SENSITIVE_DIMENSION, ""), ("icd10", TEXT, 4, Use.SENSITIVE_DIMENSION, ""),
        ("medical_cost", DECIMAL, 4, Use.MEASURE, ""), ("工资收入", DECIMAL, 3, Use.MEASURE, ""),
        ("重点人员标识", TypeKind.BOOLEAN, 4, Use.DENIED, ""), ("性别", TEXT, 2, Use.DIMENSION, ""),
        ("出生日期", TypeKind.DATE, 2, Use.DATE, ""), ("geom", TypeKind.OTHER, 3, Use.DENIED, ""),
        ("whatever", TEXT, 3, Use.DENIED, ""), ("whatever", WHOLE, 2, Use.MEASURE, ""),
    ],
)  # fmt: skip
def test_a_name_in_either_language_proposes_a_class(name, kind, level, use, unit):
    found = look(name, kind)
    assert (found.level, found.use, found.unit) == (Level(level), use, unit)
    assert all(english and chinese for english, chinese in found.reasons)


def test_values_speak_where_the_name_is_silent():
    found = look("c17", TEXT, Values(100, {"like_identity": 97}, 95))
    assert (found.level, found.use, found.unit) == (Level.GENERAL_3, Use.KEY, "person")
    assert found.reasons[0][0] == "97 % of its values look like identity numbers"


def test_a_few_sensitive_values_deny_a_column_that_looks_harmless():
    found = look("region_code", TEXT, Values(100, {"like_mobile": 7}, 20))
    assert (found.level, found.use) == (Level.GENERAL_3, Use.DENIED)


def test_identity_numbers_that_pass_the_luhn_check_are_no_bank_cards():
    found = look(
        "c1", TEXT, Values(1000, {"like_identity": 1000, "like_card": 100, "like_credit": 40}, 900)
    )
    assert (found.level, found.use) == (Level.GENERAL_3, Use.KEY)


def test_a_short_list_of_codes_is_a_dimension():
    assert look("c2", TEXT, Values(1000, {}, 6)).use is Use.DIMENSION
    assert look("c2", TEXT, Values(20, {}, 6)).use is Use.DENIED


NAMES = st.sampled_from(
    ("sfzh", "姓名", "icd10", "income", "性别", "c1", "行业", "bank_card", "remark")
)
LIKE = st.dictionaries(
    st.sampled_from(("like_identity", "like_mobile", "like_card", "like_free_text")),
    st.integers(0, 100),
)


@given(NAMES, NAMES, st.sampled_from(TypeKind), LIKE)
def test_more_evidence_never_makes_a_proposal_laxer(one, other, kind, like):
    alone = proposed(ColumnDescription(one, kind), (one,), None)
    both = proposed(ColumnDescription(one, kind), (one, other), Values(100, like, 100))
    told = not alone.reasons[0][0].startswith("it is")
    assert both.level >= alone.level or not told
    assert both.sharing is not Sharing.NOT_SHARED
    assert both.plain()["state"] == "proposed"


def test_the_catalogue_of_the_demonstration_is_never_proposed_laxer_than_law_asks():
    """Health stays at level 4, and what names a person at level 3 or more."""
    catalog = catalogs.load(example("demo") / "catalog")
    for dataset in catalog.datasets.values():
        for column in dataset.columns.values():
            kind = TypeKind(str(column.type.kind))
            found = proposed(
                ColumnDescription(column.name, kind),
                (column.name, column.name_zh, column.name_en),
                EMPTY,
            )
            if column.level is Level.GENERAL_3:
                assert found.level >= Level.GENERAL_3, (dataset.name, column.name)
            if column.level is Level.GENERAL_4:
                assert found.level is Level.GENERAL_4, (dataset.name, column.name)
