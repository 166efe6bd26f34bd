"""Attacks that once succeeded; each test states the promise that was broken. What is still open: docs/limitations.md."""

from decimal import Decimal
from pathlib import Path

import pytest

from middleplatform.demo.runtime import PERSONAS, open_platform
from middleplatform.errors import MiddleplatformError
from middleplatform.model.request import Role, Subject
from middleplatform.settings import Settings
from tests.attack.worlds import (
    INCOME,
    TARGET,
    ask,
    fragment,
    opened,
    seen_by_analyst,
    taxpayers,
    visits,
)

ISO = "(district = 'A' AND industry = 'W')"  # the target alone
ALL = "SELECT SUM(income) AS s FROM tax.taxpayers"


def values(platform, statements):
    """Return every released number of the statements, in order; None for what is refused or withheld."""
    found = []
    for sql in statements:
        try:
            table = ask(platform, sql).release.table
        except MiddleplatformError:
            found.append(None)
            continue
        found += [row[name] for row in table.to_pylist() for name in table.column_names]
    return found


# name: (statements, how the analyst puts the numbers together)
DIFFERENCES = {
    "two filters of one block": (
        [f"SELECT SUM(income) FILTER (WHERE district = 'A') AS a, SUM(income) FILTER (WHERE district = 'A' AND NOT {ISO}) AS b FROM tax.taxpayers"],
        lambda v: v[0] - v[1]),
    "two left joins of one block": (
        [("SELECT SUM(b.income) AS x, SUM(c.income) AS y FROM tax.taxpayers a LEFT JOIN tax.taxpayers b ON a.id_number = b.id_number AND b.district = 'A'"
         " LEFT JOIN tax.taxpayers c ON a.id_number = c.id_number AND c.district = 'A' AND c.industry <> 'W'")],
        lambda v: v[0] - v[1]),
    "the condition of a left join": (
        ["SELECT SUM(b.income) AS s FROM tax.taxpayers a LEFT JOIN tax.taxpayers b ON a.id_number = b.id_number AND b.district = 'A'",
         "SELECT SUM(b.income) AS s FROM tax.taxpayers a LEFT JOIN tax.taxpayers b ON a.id_number = b.id_number AND b.district = 'A' AND b.industry <> 'W'"],
        lambda v: v[0] - v[1]),
    "a condition inside a unit block": (
        [f"SELECT SUM(c) AS s, COUNT(*) AS n FROM (SELECT id_number, SUM(CASE WHEN {ISO} THEN income + 100000 ELSE 100000 END) AS c FROM tax.taxpayers GROUP BY id_number) t"],
        lambda v: v[0] - 100_000 * v[1]),
    "another place of the key in a unit block": (
        ["SELECT SUM(c) AS s FROM (SELECT id_number, SUM(income) AS c FROM tax.taxpayers GROUP BY id_number) t",
         f"SELECT SUM(c) AS s FROM (SELECT SUM(income) AS c, id_number FROM tax.taxpayers WHERE NOT {ISO} GROUP BY id_number) t"],
        lambda v: v[0] - v[1]),
    "another alias of the key": (
        ["SELECT SUM(c) AS s FROM (SELECT id_number AS aa, SUM(income) AS c FROM tax.taxpayers GROUP BY id_number) t",
         f"SELECT SUM(c) AS s FROM (SELECT id_number AS bb, SUM(income) AS c FROM tax.taxpayers WHERE NOT {ISO} GROUP BY id_number) t"],
        lambda v: v[0] - v[1]),
    "a unit block against plain rows": (
        [ALL, f"SELECT SUM(c) AS s FROM (SELECT SUM(income) AS c, SUM(tax_paid) AS t, id_number FROM tax.taxpayers WHERE NOT {ISO} GROUP BY id_number) t"],
        lambda v: v[0] - v[1]),
    "totals and groups of one UNION ALL": (
        [("SELECT SUM(income) AS s FROM tax.taxpayers WHERE district = 'A' UNION ALL SELECT SUM(income) AS s FROM tax.taxpayers WHERE district = 'A' AND industry IN ('X', 'Y')"
         " UNION ALL SELECT SUM(income) AS s FROM tax.taxpayers WHERE district = 'A' AND industry = 'Z'")],
        lambda v: v[0] - v[1] - v[2]),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_no_combination_of_released_sums_is_one_unit(tmp_path: Path, name: str) -> None:
    statements, together = DIFFERENCES[name]
    with opened(tmp_path) as platform:
        found = values(platform, statements)
    if None not in found:
        assert together(found) != INCOME


def test_rows_of_one_unit_do_not_show_between_equal_sets_of_units(tmp_path: Path) -> None:
    with opened(tmp_path) as platform:
        found = values(platform, [
            "SELECT SUM(cost) AS s FROM health.visits",
            "SELECT SUM(cost) AS s FROM health.visits WHERE NOT (district = 'E' AND visit_date >= '2024-03-01' AND visit_date < '2024-04-01')",
        ])  # fmt: skip
    assert None in found or found[0] - found[1] != 103


MARCH = "district = 'E' AND visit_date >= '2024-03-01' AND visit_date < '2024-04-01'"


@pytest.mark.parametrize("sql", [
    f"SELECT SUM(c) AS s FROM (SELECT id_number, SUM(cost) AS c FROM health.visits WHERE NOT ({MARCH}) GROUP BY id_number) t",
    f"SELECT SUM(c) AS s FROM (SELECT id_number, SUM(cost) FILTER (WHERE NOT ({MARCH})) AS c FROM health.visits GROUP BY id_number) t",
    f"SELECT SUM(c) AS s FROM (SELECT id_number, SUM(CASE WHEN NOT ({MARCH}) THEN cost END) AS c FROM health.visits GROUP BY id_number) t",
], ids=["where", "filter", "case"])  # fmt: skip
def test_one_row_of_one_unit_does_not_show_between_unit_blocks(tmp_path: Path, sql: str) -> None:
    whole = "SELECT SUM(c) AS s FROM (SELECT id_number, SUM(cost) AS c FROM health.visits GROUP BY id_number) t"
    with opened(tmp_path) as platform:
        found = values(platform, [whole, sql])
    assert found[0] is not None
    assert found[1] is None


def test_history_is_not_evaded_by_a_project_of_ones_own_naming(tmp_path: Path) -> None:
    with open_platform(Settings(state=tmp_path / "state", data=tmp_path / "data")) as platform:
        with pytest.raises(MiddleplatformError) as refused:
            ask(
                platform,
                "SELECT COUNT(*) AS n FROM ga.population",
                PERSONAS["analyst_drc"],
                project="any name at all",
            )
        assert refused.value.rule == "G5"


POOR, RICH = Decimal(20_000), Decimal(590_000)
HIGH = f"{ISO[:-1]} AND income >= 500000)"


@pytest.mark.parametrize("statements", [
    [f"SELECT COUNT(*) FILTER (WHERE NOT {HIGH}) AS n FROM tax.taxpayers"],
    [f"SELECT CASE WHEN {HIGH} THEN 'x' ELSE 1 END AS g, COUNT(*) AS n FROM tax.taxpayers GROUP BY 1"],
], ids=["mark", "error"])  # fmt: skip
def test_answer_errors_and_marks_do_not_tell_one_units_income(
    tmp_path: Path, statements: list[str]
) -> None:
    seen = []
    for world, income in (("poor", POOR), ("rich", RICH)):
        with opened(tmp_path / world, taxpayers(income)) as platform:
            seen.append([seen_by_analyst(platform, sql) for sql in statements])
    assert seen[0] == seen[1]


@pytest.mark.parametrize("sql", [
    "SELECT district, diagnosis, COUNT(*) AS n FROM health.visits WHERE diagnosis <> 'ZZ' GROUP BY district, diagnosis",
    "SELECT district, diagnosis, COUNT(*) AS n FROM health.visits GROUP BY district, diagnosis",
    "SELECT diagnosis, COUNT(*) AS n FROM health.visits WHERE district = 'D' GROUP BY diagnosis",
], ids=["idle filter", "homogeneous label", "one group by filter"])  # fmt: skip
def test_sensitive_value_of_a_small_or_homogeneous_group_is_not_shown(
    tmp_path: Path, sql: str
) -> None:
    rows = [row if row[1] != "D" else (*row[:2], "J00", *row[3:]) for row in visits()]
    with opened(tmp_path, seen=rows) as platform:
        table = ask(platform, sql).release.table.to_pylist()
    assert not [row for row in table if row["diagnosis"] == "E11"], "one person in all"
    assert not [
        row
        for row in table
        if row.get("district", "D") == "D" and row["diagnosis"] == "J00" and len(table) < 14
    ]


def test_place_of_a_withheld_label_does_not_tell_it(tmp_path: Path) -> None:
    seen = []
    for world, code in (("early", "A00"), ("late", "Z99")):
        rows = [row if row[0] != TARGET else (*row[:2], code, *row[3:]) for row in visits()]
        with opened(tmp_path / world, seen=rows) as platform:
            seen.append(
                seen_by_analyst(
                    platform,
                    "SELECT diagnosis, COUNT(*) AS n FROM health.visits GROUP BY diagnosis",
                )
            )
    assert seen[0] == seen[1]


@pytest.mark.parametrize("sql", [
    "SELECT SUM(COALESCE(income, 1000000000)) AS s FROM tax.taxpayers WHERE district = 'A'",
    "SELECT SUM(c) AS s FROM (SELECT id_number, SUM(income + 1000000000) AS c FROM tax.taxpayers WHERE district = 'A' GROUP BY id_number) t",
    "SELECT AVG(c) AS s FROM (SELECT id_number, SUM(COALESCE(income, 1000000000)) AS c FROM tax.taxpayers WHERE district = 'A' GROUP BY id_number) t",
], ids=["default", "constant per unit", "default per unit"])  # fmt: skip
def test_no_constant_hides_a_dominant_unit(tmp_path: Path, sql: str) -> None:
    rows = [
        (*row[:4], None if number % 8 == 0 else row[4], row[5])
        for number, row in enumerate(taxpayers(Decimal(900_000_000)))
    ]
    rows[-1] = taxpayers(Decimal(900_000_000))[-1]
    with opened(tmp_path, rows) as platform:
        assert values(
            platform, ["SELECT SUM(income) AS s FROM tax.taxpayers WHERE district = 'A'"]
        ) == [None]
        assert values(platform, [sql]) == [None]


@pytest.mark.parametrize("sql", [
    "SELECT COUNT(*) AS n FROM (SELECT id_number, SUM(income - 93456) AS c FROM tax.taxpayers GROUP BY id_number) t WHERE c >= 30000",
    "SELECT COUNT(*) AS n FROM (SELECT id_number, AVG(income * 0.3) AS c FROM tax.taxpayers GROUP BY id_number) t WHERE c >= 30000",
    "SELECT COUNT(*) AS n FROM (SELECT id_number, COUNT(*) AS c FROM health.visits GROUP BY id_number) t WHERE FLOOR(c / 4) * 4 >= 1",
])  # fmt: skip
def test_no_arithmetic_moves_a_breakpoint(tmp_path: Path, sql: str) -> None:
    with opened(tmp_path) as platform, pytest.raises(MiddleplatformError):
        ask(platform, sql)


def test_statement_over_a_unit_block_may_be_asked_again(tmp_path: Path) -> None:
    sql = "SELECT COUNT(*) AS n FROM (SELECT COUNT(*) AS v FROM tax.taxpayers GROUP BY id_number) t"
    with opened(tmp_path) as platform:
        assert values(platform, [sql, sql]) == [401, 401]


@pytest.mark.parametrize("sql", [
    "SELECT district, SUM(COUNT(*)) FILTER (WHERE (SELECT COUNT(*) FROM duckdb_settings()) > 0) OVER () AS n FROM tax.taxpayers GROUP BY district",
    "SELECT district, SUM(COUNT(*)) OVER (ORDER BY district ROWS BETWEEN (SELECT COUNT(*) FROM duckdb_functions()) PRECEDING AND CURRENT ROW) AS n FROM tax.taxpayers GROUP BY district",
    "SELECT district, COUNT(*) FILTER (WHERE current_setting('memory_limit') <> '') OVER () AS n FROM tax.taxpayers GROUP BY district",
])  # fmt: skip
def test_nothing_above_the_boundary_runs_that_is_not_on_the_allow_list(
    tmp_path: Path, sql: str
) -> None:
    with opened(tmp_path) as platform, pytest.raises(MiddleplatformError) as refused:
        ask(platform, sql)
    assert refused.value.code in ("Q010", "P001")


def test_lying_gateway_cannot_name_a_steward(tmp_path: Path) -> None:
    forged = Subject("nobody", "ga", frozenset({Role.DEPARTMENT_STEWARD}), ("*",))
    sql = ("SELECT region_code AS d0, sex AS d1, FLOOR(birth_year / 5) * 5 AS d2, COUNT(*) AS a0 FROM ga.population"
           " GROUP BY region_code, sex, FLOOR(birth_year / 5) * 5")  # fmt: skip
    with open_platform(Settings(state=tmp_path / "state", data=tmp_path / "data")) as platform:
        raw, signature = fragment(
            platform, "ga", sql, subject=forged, purpose="data_quality", project="ga"
        )
        try:
            cells = platform.nodes["ga"].node.answer(raw, signature).cells
        except MiddleplatformError:
            return
        shown = [int(value) for value in cells["rows_0"].to_pylist() if value is not None]
        assert min(shown, default=10) >= 10


@pytest.mark.parametrize("sql", [
    "SELECT SUM(n) AS n FROM (SELECT district, industry, COUNT(*) AS n FROM tax.taxpayers GROUP BY district, industry) c",
    "SELECT district, industry, SUM(COUNT(*)) OVER () AS n FROM tax.taxpayers GROUP BY district, industry",
])  # fmt: skip
def test_what_is_computed_over_released_cells_only_says_so(tmp_path: Path, sql: str) -> None:
    with opened(tmp_path) as platform:
        release = ask(platform, sql).release
    assert release.withheld
    assert any("released cells only" in english for english, _ in release.notes)
