"""Attacks that the platform withstands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.errors import ProtocolError
from middleplatform.settings import Settings
from tests.attack.worlds import ask, fragment, opened

DRC = PERSONAS["analyst_drc"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("demo")
    with open_platform(Settings(state=folder / "state", data=folder / "data")) as platform:
        yield platform


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE sex = '1' OR sex = '2' GROUP BY region_code",
        "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE NOT (sex = '9') GROUP BY region_code",
        """SELECT CASE WHEN region_code = '990101' THEN '990101' ELSE region_code END AS region_code, COUNT(*) AS n
           FROM ga.population GROUP BY 1""",
    ],
)
def test_no_predicate_join_or_block_widens_a_region_scope(demo: Platform, sql: str) -> None:
    everywhere = {row["region_code"] for row in ask(demo, sql, DRC).release.table.to_pylist()}
    scoped = {
        row["region_code"]
        for row in ask(demo, sql, PERSONAS["county_analyst"], project="").release.table.to_pylist()
    }
    assert len(everywhere) == 6
    assert scoped == {"990101"}


@pytest.mark.parametrize(
    ("cohort", "protocol"),
    [(("amr_990101",), "local"), (("amr_990101", "amr_990102"), "secure_sum")],
)
def test_lying_gateway_gets_no_part_of_a_logical_table(
    demo: Platform, cohort: tuple[str, ...], protocol: str
) -> None:
    sql = "SELECT COUNT(*) AS a0 FROM amr_county.enterprise"
    raw, signature = fragment(
        demo, "amr_990101", sql, subject=DRC, project="drc", cohort=cohort, protocol=protocol
    )
    with pytest.raises(ProtocolError) as refused:
        demo.nodes["amr_990101"].node.accept(raw, signature, protocol)
    assert (refused.value.code, refused.value.rule) == ("X003", "R5")


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT birth_year AS d0, COUNT(*) AS a0 FROM ga.population GROUP BY birth_year", "R4"),
        ("SELECT COUNT(*) AS a0 FROM ga.population WHERE key_person_flag", "R1"),
        ("SELECT id_number AS d0, COUNT(*) AS a0 FROM ga.population GROUP BY id_number", "R2"),
    ],
)
def test_lying_gateway_gets_nothing_finer_than_the_nodes_own_bundle(
    demo: Platform, sql: str, rule: str
) -> None:
    raw, signature = fragment(demo, "ga", sql, subject=DRC, project="drc")
    with pytest.raises(ProtocolError) as refused:
        demo.nodes["ga"].node.answer(raw, signature)
    assert refused.value.code == "X003"
    assert refused.value.rule in (rule, "R0", "R4")


def test_fragment_is_served_once_and_only_with_the_gateways_signature(tmp_path: Path) -> None:
    with opened(tmp_path) as platform:
        node = platform.nodes["tax"].node
        raw, signature = fragment(platform, "tax", "SELECT COUNT(*) AS a0 FROM tax.taxpayers")
        with pytest.raises(ProtocolError):
            node.answer(raw.replace(b"COUNT(*)", b"SUM(income)"), signature)
        assert node.answer(raw, signature).cells.num_rows == 1
        with pytest.raises(ProtocolError) as again:
            node.answer(raw, signature)
        assert again.value.code == "X002"


@pytest.mark.parametrize(
    "sql",
    [
        """SELECT "D" AS district, COUNT(*) AS n FROM (SELECT id_number AS d, district AS "D"
           FROM tax.taxpayers GROUP BY id_number, district) t GROUP BY "D\"""",
        """SELECT "D" AS district, COUNT(*) AS n FROM (SELECT SUM(income) AS d, district AS "D"
           FROM tax.taxpayers GROUP BY id_number, district) t GROUP BY "D\"""",
    ],
)
def test_names_that_differ_in_case_alone_never_swap_a_key_for_a_dimension(
    tmp_path: Path, sql: str
) -> None:
    with opened(tmp_path) as platform:
        table = ask(platform, sql).release.table.to_pylist()
    assert [row["district"] for row in table] == ["A", "B", "C", "D"]


def test_names_that_differ_in_case_alone_never_make_units(tmp_path: Path) -> None:
    # The target alone has visits in district E, in twelve months with twelve different sums.
    sql = """SELECT SUM(c) AS s FROM (SELECT SUM(cost) AS k, SUM(cost) AS c, id_number AS "K",
             DATE_TRUNC('month', visit_date) AS m FROM health.visits WHERE district = 'E'
             GROUP BY id_number, DATE_TRUNC('month', visit_date)) t"""
    with opened(tmp_path) as platform:
        release = ask(platform, sql).release
    assert release.table.to_pylist() == [{"s": None}]
    assert release.marks.to_pylist() == [{"s": "threshold"}]
