"""Attacks that the platform withstands."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from middleplatform.demo.runtime import PERSONAS, Platform, open_platform
from middleplatform.errors import MiddleplatformError, ProtocolError
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


def test_steward_is_refused_inside_as_outside(tmp_path):
    """Own data is a matter of small cells only: keys, denied columns and other departments stay shut."""
    steward = PERSONAS["steward_ga"]
    shut = {
        "SELECT id_number FROM ga.population": "P001",
        "SELECT COUNT(*) FROM ga.population WHERE key_person_flag": "P001",
        "SELECT AVG(income_total) FROM tax.individual_income": "P00",
    }
    with open_platform(Settings(state=tmp_path / "state", data=tmp_path / "data")) as platform:
        for sql, code in shut.items():
            request = platform.gateway.request(sql, steward, "data_quality")
            with pytest.raises(MiddleplatformError) as refused:
                platform.own(request)
            assert refused.value.code.startswith(code)
            assert refused.value.audit_index is not None
        log = platform.gateway.audit
        assert log.verify() == 2 * len(shut)


def test_analyst_has_no_way_to_own_data(tmp_path):
    with open_platform(Settings(state=tmp_path / "state", data=tmp_path / "data")) as platform:
        sql = "SELECT COUNT(*) AS n FROM (SELECT id_number FROM ga.population GROUP BY id_number HAVING COUNT(*) > 1) d"
        outside = platform.gateway.request(sql, PERSONAS["steward_ga"], "data_quality")
        release = asyncio.run(platform.gateway.submit(outside)).release
        assert release.table.to_pylist() == [{"n": None}], (
            "the gateway sees no small cell, not even a steward's"
        )
        with pytest.raises(MiddleplatformError):
            platform.own(platform.gateway.request(sql, PERSONAS["analyst_drc"], "data_quality"))
