"""How a block over several departments is taken apart, and which forms are refused with what would pass."""

from dataclasses import replace

import join_world as world
import pytest
from join_world import P_Y, STAFF, SUMS, block, planned

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.errors import MiddleplatformError, PolicyError, ProtocolError, QueryError
from middleplatform.model.join import BLINDED, HELPER
from middleplatform.model.policy import Limits
from middleplatform.model.query import JoinKind
from middleplatform.planner.join_refusals import FORMS
from middleplatform.planner.plan import make_plan
from middleplatform.planner.side_statement import check_side, missing_labels, side_reads
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

P_T = "ga.person p JOIN tax.payer t ON t.id = p.id"


def failure(sql, **asked):
    with pytest.raises(MiddleplatformError) as caught:
        planned(sql, **asked)
    return caught.value


def names(side):
    return [word.name for word in side.words]


# --- sides ----------------------------------------------------------------------------------------------------------


def test_departments_hold_sides_in_the_order_of_joining():
    found = block(f"SELECT p.region, COUNT(*) FROM {P_T} JOIN hb.card c ON c.id = t.id GROUP BY 1")
    assert found.protocol == "private_join"
    assert found.departments == found.join.departments == ("ga", "hb", "tax")
    assert [side.departments for side in found.join.sides] == [("ga",), ("tax",), ("hb",)]
    assert found.join.unit == "person"
    assert found.join.sides[0].dimensions == (0,)


def test_tables_of_one_department_are_joined_inside_it_first():
    sql = "SELECT COUNT(*) FROM hb.visit v JOIN ga.person p ON p.id = v.id JOIN hb.card c ON c.id = p.id"  # fmt: skip
    inside, other = block(sql).join.sides
    assert inside.departments == ("hb",)
    ((left, right),) = inside.rows.joins[0].on
    assert {left.name, right.name} == {"id"}
    assert {left.relation, right.relation} == {"t0", "t2"}, "on the key of all, though it was written with another's"  # fmt: skip
    assert other.departments == ("ga",)


def test_an_anti_join_inside_a_department_stays_inside_it():
    sql = f"SELECT COUNT(*) FROM {P_T} LEFT JOIN tax.payer q ON q.id = p.id AND q.paid >= 100 WHERE q.id IS NULL"  # fmt: skip
    person, payer = block(sql).join.sides
    assert person.kind is payer.kind is JoinKind.INNER
    assert [join.kind for join in payer.rows.joins] == [JoinKind.ANTI]


def test_a_filter_goes_to_the_department_whose_columns_it_reads():
    sql = f"SELECT COUNT(*) FROM {P_Y} WHERE p.sex = '1' AND (y.year = 2022 AND y.kind = '门诊')"
    person, year = block(sql).join.sides
    assert "sex" in repr(person.rows.where)
    assert "year" not in repr(person.rows.where)
    assert "2022" in repr(year.rows.where)


def test_a_part_of_a_logical_table_is_a_side_of_all_its_holders():
    found = block("SELECT f.section, COUNT(*) FROM amr.firm f JOIN tax.return r ON r.code = f.code GROUP BY 1")  # fmt: skip
    assert found.join.sides[0].departments == ("c1", "c2")
    assert found.join.side_of("c2").number == 0
    assert found.join.side_of("keyholder") is None
    assert found.join.helper(0) == "tax"
    assert found.join.helper(1) == "c1"
    assert found.join.helper(1, "keyholder") == "keyholder"


@pytest.mark.parametrize(
    ("where", "group", "unique", "single", "fan"),
    [
        ("y.year = 2022", "p.region", True, True, -1), ("2022 = y.year", "p.region", True, True, -1), ("y.year IN (2022)", "y.kind", True, True, -1),
        ("y.year IN (2022, 2023)", "p.region", True, False, 0), ("y.kind = '门诊'", "y.year", False, True, 0),
        ("y.days > 3", "y.kind", False, False, 0), ("y.days > 3", "y.year + 1", False, False, 0),
    ],
)  # fmt: skip
def test_rows_are_told_apart_by_what_identifies_them(where, group, unique, single, fan):
    sql = f"SELECT {group}, SUM(y.cost) FROM hb.year y JOIN ga.person p ON y.id = p.id WHERE {where} GROUP BY 1"  # fmt: skip
    join = block(sql).join
    assert (join.sides[0].unique, join.sides[0].single, join.fan) == (unique, single, fan)
    assert ("rows_0" in names(join.sides[0])) is (fan >= 0 and not single)


def test_a_unit_block_has_one_row_a_key():
    join = block(f"SELECT SUM(u.s), AVG(p.income) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id").join  # fmt: skip
    assert (join.fan, join.sides[1].unique, join.sides[1].single) == (-1, True, True)
    assert join.population_sides == (-1, 1, 0)
    assert join.sum_sides == (1, 0)


# --- words ----------------------------------------------------------------------------------------------------------


def test_words_carry_the_evidence_that_the_parameters_ask_for():
    sql = f"SELECT p.region, SUM(y.days), VAR_POP(y.cost) FROM {P_Y} WHERE y.year = 2022 GROUP BY 1"
    plain = names(block(sql).join.sides[1])
    assert plain == ["rows_1", "units_1", "full_1", "sum_0", "sum_1", "sq_1"]
    strict = block(sql, bundle=world.STRICT_BUNDLE).join
    assert names(strict.sides[1])[3:6] == ["sum_0", "abs_0", "rung_0_0"]
    assert len([name for name in names(strict.sides[1]) if name.startswith("rung_1_")]) == 12
    assert strict.capped == (400, 900_000)
    assert strict.min_units == 10
    sealed = block(sql, bundle=world.STRICT_BUNDLE, sealed=True).join
    assert names(sealed.sides[1]) == plain
    (square,) = [word for word in strict.sides[1].words if word.name == "sq_1"]
    assert (square.limbs, square.scale) == (2, 4)


def test_the_answer_says_what_was_assumed_dropped_and_capped():
    notes = [english for english, chinese in planned(f"SELECT SUM(y.cost) FROM {P_Y} WHERE y.year = 2022").notes if chinese]  # fmt: skip
    assert any("colludes with no department" in note for note in notes)
    assert "Duplicate registrations count once: ga.person, hb.year." in notes
    assert "One unit counts for at most 9000 in the sum of hb.year.cost." in notes


@pytest.mark.parametrize(
    ("measure", "cap"),
    [("w.n", 60), ("w.s", 900_000), ("COALESCE(w.n, 0)", 60), ("f.staff", 400)],
)  # fmt: skip
def test_the_cap_of_a_unit_follows_from_its_columns(measure, cap):
    join = block(f"SELECT SUM({measure}) FROM amr.firm f LEFT JOIN {STAFF} ON w.firm = f.code").join
    assert join.capped == (cap,)


def test_a_measure_without_a_cap_is_sealed_where_its_largest_units_must_be_judged():
    sql = "SELECT SUM(r.revenue) FROM amr.firm f JOIN tax.return r ON r.code = f.code"
    assert block(sql).join.capped == (-1,), "nothing is judged"
    error = failure(sql, bundle=world.STRICT_BUNDLE)
    assert (type(error), error.rule) == (PolicyError, "R5")
    assert "ask for a sealed answer" in error.message("en")
    assert "密封" in error.message("zh")
    assert block(sql, bundle=world.STRICT_BUNDLE, sealed=True).join.capped == (-1,)


def released(release, dataset, column, disclosure=world.OPEN):
    bundle = world.make_bundle(disclosure)
    rule = bundle.datasets[dataset]
    columns = {**rule.columns, column: replace(rule.columns[column], release=release)}
    return replace(bundle, datasets={**bundle.datasets, dataset: replace(rule, columns=columns)})


@pytest.mark.parametrize("sql", [f"SELECT SUM(y.cost) FROM {P_Y} WHERE y.year = 2022", "SELECT AVG(cost) FROM hb.year", "SELECT SUM(s) FROM (SELECT id, SUM(cost) AS s FROM hb.year GROUP BY id) u"])  # fmt: skip
def test_a_column_is_released_as_its_policy_says(sql):
    sealed, plain = (released(each, "hb.year", "cost") for each in ("sealed", "plain"))
    assert failure(sql, bundle=sealed).rule == "R3"
    assert failure(sql, bundle=plain, sealed=True).rule == "R3"
    assert planned(sql, bundle=plain)
    if "p.id" in sql:
        assert planned(sql, bundle=sealed, sealed=True)


# --- protocols ------------------------------------------------------------------------------------------------------


def joined_as(**join):
    datasets = dict(world.BUNDLE.datasets)
    for name, value in join.items():
        dataset = name.replace("_", ".")
        datasets[dataset] = replace(datasets[dataset], join=value)
    return replace(world.BUNDLE, datasets=datasets)


def test_the_strictest_policy_chooses_how_keys_are_matched():
    sql = f"SELECT COUNT(*) FROM {P_T}"
    assert block(sql).join.protocol is HELPER
    assert block(sql, bundle=joined_as(tax_payer="blinded")).join.protocol is BLINDED
    assert block(sql, bundle=joined_as(hb_card="none")).join.protocol is HELPER
    error = failure(sql, bundle=joined_as(tax_payer="none", ga_person="blinded"))
    assert (error.code, error.rule) == ("P001", "R10")
    assert "tax.payer" in error.message("en")
    assert "by decision of tax" in error.message("en")


def test_a_department_that_forbids_joins_still_answers_alone():
    assert block("SELECT COUNT(*) FROM tax.payer", bundle=joined_as(tax_payer="none")).protocol == "local"  # fmt: skip


def test_without_a_policy_nothing_is_joined():
    query = qualify(parse(f"SELECT COUNT(*) FROM {P_T}", Limits()), world.CATALOG)
    decision = authorize(query.facts, Asking(world.ANALYST, "statistics", world.NOW), world.BUNDLE, world.CATALOG)  # fmt: skip
    with pytest.raises(QueryError) as caught:
        make_plan(query, decision, world.CATALOG, Limits())
    assert caught.value.code == "Q030"


# --- what is refused ------------------------------------------------------------------------------------------------

Y22 = "y.year = 2022"
REFUSED = [
    ("fan", f"SELECT SUM(p.income) FROM {P_Y}"),
    ("fan", f"SELECT y.year, SUM(p.income) FROM {P_Y} GROUP BY 1"),
    ("fan", f"SELECT COUNT(*) FILTER (WHERE p.sex = '1') FROM {P_Y}"),
    ("left fan", "SELECT COUNT(*) FROM ga.person p LEFT JOIN hb.visit v ON v.id = p.id"),
    ("across", f"SELECT COUNT(*) FROM {P_Y} WHERE {Y22} AND (p.sex = '1' OR y.kind = '门诊')"),
    ("dimension", f"SELECT CASE WHEN p.sex = '1' THEN y.kind ELSE '无' END, COUNT(*) FROM {P_Y} WHERE {Y22} GROUP BY 1"),
    ("measure", f"SELECT SUM(CASE WHEN p.sex = '1' THEN y.days END) FROM {P_Y} WHERE {Y22}"),
    ("measure", f"SELECT SUM(y.cost) FILTER (WHERE p.sex = '1') FROM {P_Y} WHERE {Y22}"),
    ("across", f"SELECT COUNT(*) FILTER (WHERE p.sex = '1' AND y.kind = '门诊') FROM {P_Y} WHERE {Y22}"),
    ("sum", f"SELECT SUM(p.income + t.paid) FROM {P_T}"),
    ("sum", f"SELECT AVG(p.points + t.paid) FROM {P_T}"),
    ("where outer", f"SELECT COUNT(*) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id WHERE u.n >= 2"),
    ("where outer", "SELECT COUNT(*) FROM ga.person p LEFT JOIN tax.payer t ON t.id = p.id WHERE t.grade = '高'"),
    ("onward", "SELECT COUNT(*) FROM ga.person p LEFT JOIN tax.payer t ON t.id = p.id JOIN hb.card c ON c.id = t.id"),
    ("onward", "SELECT COUNT(*) FROM ga.person p LEFT JOIN tax.payer t ON t.id = p.id LEFT JOIN hb.card c ON c.id = t.id"),
    ("outer twice", "SELECT COUNT(*) FROM ga.person p LEFT JOIN hb.card c ON c.id = p.id LEFT JOIN hb.card d ON d.id = p.id"),
    ("outer twice", "SELECT COUNT(*) FROM hb.card c LEFT JOIN hb.card d ON d.id = c.id JOIN ga.person p ON p.id = c.id"),
    ("one key", "SELECT COUNT(*) FROM ss.worker k JOIN ga.person p ON p.id = k.id JOIN amr.firm f ON f.code = k.firm"),
    ("unit", "SELECT COUNT(*) FROM ss.worker k JOIN amr.firm f ON f.code = k.firm"),
    ("unit", "SELECT COUNT(*) FROM amr.firm f JOIN ss.worker k ON f.code = k.firm"),
    ("nested", "SELECT COUNT(*) FROM (SELECT p.id FROM ga.person p JOIN tax.payer t ON t.id = p.id GROUP BY p.id) u"),
    ("anti", "SELECT t.grade, COUNT(*) FROM ga.person p LEFT JOIN tax.payer t ON t.id = p.id WHERE t.id IS NULL GROUP BY 1"),
    ("unmatched", f"SELECT COUNT(*) FILTER (WHERE COALESCE(u.n, 0) = 0) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id"),
    ("second key", f"SELECT COUNT(DISTINCT p.household) FILTER (WHERE p.sex = '1') FROM {P_T}"),
    ("second key", "SELECT COUNT(DISTINCT k.firm) FROM ss.worker k JOIN ga.person p ON p.id = k.id JOIN ss.worker j ON j.firm = k.firm"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "sql"), REFUSED)
def test_what_no_private_join_answers_is_refused_with_what_would_pass(form, sql):
    error = failure(sql)
    assert (error.code, error.parts["what"]) == ("Q031", FORMS[form]), error.message("en")
    english, chinese = FORMS[form]
    assert "(" in english
    assert "（" in chinese


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT MAX(p.income) FROM {P_T}", f"SELECT MIN(t.paid) FROM {P_T}", f"SELECT SUM(p.income * t.paid) FROM {P_T}",
        f"SELECT COUNT(*) FROM {P_T} WHERE p.income > t.paid", "SELECT COUNT(*) FROM ga.person p JOIN tax.payer t ON t.grade = p.region",
        f"SELECT COUNT(*) FROM {P_T} WHERE p.id = '990101196001010015'", "SELECT COUNT(*) FROM ga.person p FULL JOIN tax.payer t ON t.id = p.id",
    ],
)  # fmt: skip
def test_what_no_policy_permits_is_refused_before_it_is_planned(sql):
    try:
        query = qualify(parse(sql, Limits()), world.CATALOG)
    except QueryError as error:
        assert error.code == "Q010"  # noqa: PT017 - either stage may refuse it
        return
    asking = Asking(world.ANALYST, "statistics", world.NOW)
    assert not authorize(query.facts, asking, world.BUNDLE, world.CATALOG).permit


def test_constants_and_filters_in_on_are_no_obstacle():
    sql = f"SELECT 'x' AS c, COUNT(*) FILTER (WHERE FALSE) FROM {P_Y} AND y.year = 2022 AND p.sex = '1' WHERE TRUE GROUP BY 1"  # fmt: skip
    join = block(sql).join
    assert (join.fan, join.population_sides, join.sides[0].dimensions) == (-1, (-1, 0), (0,))


def test_two_sides_with_several_rows_a_key_are_many_to_many():
    catalog = replace(world.CATALOG, digest="other", datasets={**world.CATALOG.datasets, "tax.payer": replace(world.CATALOG.datasets["tax.payer"], rows_by=())})  # fmt: skip
    sql = "SELECT COUNT(*) FROM hb.visit v JOIN tax.payer t ON t.id = v.id"
    assert failure(sql, catalog=catalog).parts["what"] == FORMS["many to many"]
    grouped = f"SELECT COUNT(*) FROM {SUMS} JOIN tax.payer t ON t.id = u.id"
    assert block(grouped, catalog=catalog).join.fan == 1, "the form that it names passes"


def test_more_departments_than_relations_allowed_are_too_many():
    sql = f"SELECT COUNT(*) FROM {P_T} JOIN hb.card c ON c.id = p.id"
    query = qualify(parse(sql, Limits()), world.CATALOG)
    decision = authorize(query.facts, Asking(world.ANALYST, "statistics", world.NOW), world.BUNDLE, world.CATALOG)  # fmt: skip
    bundle = world.make_bundle(joins_max=1)
    with pytest.raises(QueryError) as caught:
        make_plan(query, decision, world.CATALOG, Limits(), bundle=bundle)
    assert caught.value.code == "Q004"


def test_a_table_in_parts_is_joined_on_its_own_unit_only():
    firm = world.CATALOG.datasets["amr.firm"]
    held = replace(world.CATALOG.datasets["ss.worker"], held_by=("c1", "c3"))
    datasets = {**world.CATALOG.datasets, "ss.worker": held}
    split = replace(world.CATALOG, digest="split", datasets=datasets)
    sql = "SELECT COUNT(*) FROM tax.return r JOIN (SELECT firm, COUNT(*) AS n FROM ss.worker GROUP BY firm) w ON w.firm = r.code"  # fmt: skip
    assert block(sql).join.sides[1].departments == ("ss",)
    assert firm.held_by == ("c1", "c2")
    overlap = f"SELECT COUNT(*) FROM amr.firm f JOIN {STAFF} ON w.firm = f.code"
    assert failure(overlap, catalog=split).parts["what"] == FORMS["overlap"]


def test_keys_of_different_types_are_not_joined():
    person = world.CATALOG.datasets["tax.payer"]
    columns = {**person.columns, "id": replace(person.columns["id"], type=world.INTEGER)}
    datasets = {**world.CATALOG.datasets, "tax.payer": replace(person, columns=columns)}
    catalog = replace(world.CATALOG, digest="types", datasets=datasets)
    assert failure(f"SELECT COUNT(*) FROM {P_T}", catalog=catalog).parts["what"] == FORMS["key type"]  # fmt: skip


# --- what a node asks -----------------------------------------------------------------------------------------------


def test_a_department_checks_that_it_holds_what_its_side_reads():
    join = block(f"SELECT COUNT(*) FROM {P_T}").join
    assert check_side(join, "tax", world.CATALOG) == 1
    for department in ("hb", "keyholder"):
        with pytest.raises(ProtocolError) as caught:
            check_side(join, department, world.CATALOG)
        assert caught.value.code == "X003"
    moved = replace(world.CATALOG.datasets["tax.payer"], held_by=("hb",))
    other = replace(world.CATALOG, datasets={**world.CATALOG.datasets, "tax.payer": moved})
    with pytest.raises(ProtocolError):
        check_side(join, "tax", other)


def test_a_side_reads_what_identifies_its_rows_too():
    found = block(f"SELECT COUNT(*) FROM {P_Y}")
    read = side_reads(found.layout, found.join, 1, world.CATALOG)
    assert [(dataset, column) for dataset, column, _ in read] == [("hb.year", "id"), ("hb.year", "year")]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "label"),
    [
        ("u.n", None), ("CASE WHEN COALESCE(u.n, 0) = 0 THEN '0' ELSE '1+' END", "0"), ("CASE WHEN u.n <= 2 THEN 1 WHEN u.n IS NULL THEN 2 ELSE 3 END", 2),
        ("CASE WHEN NOT u.n > 2 THEN 'a' WHEN u.n BETWEEN 1 AND 2 OR u.n IN (3) THEN 'b' ELSE 'c' END", "c"),
    ],
)  # fmt: skip
def test_rows_without_a_match_have_a_label_that_needs_no_data(expression, label):
    if expression == "u.n":
        sql = "SELECT t.grade, COUNT(*) FROM hb.card c LEFT JOIN tax.payer t ON t.id = c.id GROUP BY 1"  # fmt: skip
    else:
        sql = f"SELECT {expression}, COUNT(*) FROM ga.person p LEFT JOIN {SUMS} ON u.id = p.id GROUP BY 1"  # fmt: skip
    found = block(sql)
    assert missing_labels(found.cell, found.layout, found.join, 1) == (label,)
    assert missing_labels(found.cell, found.layout, found.join, 0) == ()
