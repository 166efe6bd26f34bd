"""Every byte between the gateway and eleven nodes and a key holder while the whole demonstration is asked, before encryption.

No identity number, no code of a household or firm and no name is in it, in any spelling; no released cell is of fewer
units than the threshold, counted anew from the plain rows; the words of a secure sum and of a private join are under
masks; and of a private join no group of fewer units than the threshold is unmasked or named.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from evenness import HONEST, LEAKING, even_bytes, even_words
from needles import Needles
from node_world import shipped
from null_slots import held_by_nulls
from recorder import Exchange, Recorder

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.crypto.messages import CodeList, LabelList, MaskedVector
from middleplatform.crypto.sum_words import round_key
from middleplatform.demo import show
from middleplatform.demo.departments import running
from middleplatform.demo.runtime import PERSONAS
from middleplatform.dispatch.dispatcher import KEY_HOLDER
from middleplatform.model.catalog import Use
from middleplatform.model.plan import Fragment
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.settings import Settings
from middleplatform.sql.render import fragment, predicate, row
from middleplatform.wire.join_lists import GroupLists, ListHead, ListPart
from middleplatform.wire.tables import decode_table, encode_table

CATALOG, BUNDLE = shipped()
DEPARTMENTS = sorted({name for each in CATALOG.datasets.values() for name in each.held_by})
COUNTIES = tuple(f"amr_99010{place}" for place in range(1, 7))


# The demonstration's own questions join rows of tax, health and amr with others'; so each of these is asked something
# by itself too, small cells and a sensitive label included.
MORE = [
    "SELECT tax_year, COUNT(*) AS n, AVG(income_total) AS mean FROM tax.individual_income GROUP BY tax_year",
    (
        "SELECT CASE WHEN employees_declared <= 10 THEN 'a' WHEN employees_declared <= 300 THEN 'b' ELSE 'c' END AS size,"
        " COUNT(*) AS n, SUM(revenue) AS revenue FROM tax.enterprise_tax GROUP BY 1"
    ),
    (
        "SELECT visit_year, COUNT(DISTINCT id_number) AS n, AVG(medical_cost) AS cost, SUM(admissions) AS admitted,"
        " COUNT(*) FILTER (WHERE outpatient_visits > 20) AS often FROM health.encounter_year GROUP BY visit_year"
    ),
    "SELECT industry_section, region_code, COUNT(*) AS n FROM amr.enterprise GROUP BY 1, 2",
    "SELECT inspect_year, AVG(score) AS score FROM amr.inspection GROUP BY inspect_year",
    "SELECT region_code, sex, education_years, COUNT(*) AS n FROM ga.population GROUP BY 1, 2, 3",
    "SELECT plan_code, copay_pct, COUNT(*) AS n, COUNT(DISTINCT employer_uscc) AS firms FROM ss.insurance GROUP BY 1, 2",
]


# --- reading a capture --------------------------------------------------------------------------------------------


def parts_of(frame: bytes) -> tuple[dict, list[bytes]]:
    """Take a message apart: header and parts."""
    length = int.from_bytes(frame[4:8], "big")
    header, at = json.loads(frame[8 : 8 + length]), 8 + length + 64
    found = []
    for size, _ in header["parts"]:
        found.append(frame[at : at + size])
        at += size
    return header, found


@dataclass(frozen=True)
class Answered:
    """One local answer as it crossed: who was asked what, and the cells."""

    department: str
    fragment: Fragment
    cells: pa.Table


def answers(capture: list[Exchange]) -> Iterator[Answered]:
    for each in capture:
        if each.name != "answer" or each.reply is None:
            continue
        _, cells = parts_of(each.reply)
        if cells:  # else a refusal
            asked = Fragment.from_mapping(json.loads(parts_of(each.body)[1][0]))
            yield Answered(each.department, asked, decode_table(cells[0]))


# --- what must not be there ---------------------------------------------------------------------------------------


def held_tables(data, department):
    """Yield each data set of a department that its file has, with its columns there."""
    with duckdb.connect(str(data / f"{department}.duckdb"), read_only=True) as connection:
        found = connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns()"
        ).fetchall()
        for name, dataset in CATALOG.datasets.items():
            columns = {column for table, column in found if table == name.split(".")[1]}
            if department in dataset.held_by and columns:
                yield connection, name, columns


def secrets(data) -> set[str]:
    """Return every key, every denied value and every name of every department's rows."""
    found = set()
    for department in DEPARTMENTS:
        for connection, name, columns in held_tables(data, department):
            for each, own in CATALOG.datasets[name].columns.items():
                if each in columns and (each == "name" or own.uses & {Use.KEY, Use.DENIED}):
                    values = connection.execute(
                        f'SELECT DISTINCT "{each}" FROM {name.split(".")[1]}'
                    )
                    found |= {str(value) for (value,) in values.fetchall() if value is not None}
    return found


class PlainRows:
    """All departments' plain rows in one engine: what a cell is really made of."""

    def __init__(self, data) -> None:
        self._engine = duckdb.connect()
        for department in DEPARTMENTS:
            if department in COUNTIES:
                continue
            path = data / f"{department}.duckdb"
            self._engine.execute(f"ATTACH '{path}' AS f_{department} (READ_ONLY)")
            for _, name, _ in held_tables(data, department):
                self._engine.execute(f"CREATE SCHEMA IF NOT EXISTS {name.split('.')[0]}")
                self._engine.execute(
                    f"CREATE VIEW {name} AS FROM f_{department}.main.{name.split('.')[1]}"
                )

    def units(self, asked: Fragment) -> dict[tuple, list[int]]:
        """Return the distinct units of each population, by the labels of its cell."""
        cell, _ = read_fragment(asked.sql, CATALOG)
        layout = layout_of(cell, CATALOG)
        unit = row(layout.unit).sql("duckdb")
        counted = []
        for population in layout.populations:
            met = [f"{row(each).sql('duckdb')} IS NOT NULL" for each in population.present]
            if population.condition is not None:
                met.append(predicate(population.condition).sql("duckdb"))
            within = f" FILTER (WHERE {' AND '.join(met)})" if met else ""
            counted.append(f"COUNT(DISTINCT {unit}){within}")
        tree = sqlglot.parse_one(fragment(cell), read="postgres")
        labels = [each for each in tree.expressions if each.alias.startswith("d")]
        tree.set(
            "expressions", [*labels, *(sqlglot.parse_one(each, read="duckdb") for each in counted)]
        )
        rows = self._engine.execute(tree.sql("duckdb")).fetchall()
        return {tuple(map(plain, one[: len(labels)])): list(one[len(labels) :]) for one in rows}


def plain(label: object) -> object:
    """Return a label as both sides write it."""
    return (
        label if label is None or isinstance(label, str | bool) else str(label).removesuffix(".0")
    )


def words_of(asked: Fragment) -> dict[str, int]:
    """Return of which population each word is."""
    layout = layout_of(read_fragment(asked.sql, CATALOG)[0], CATALOG)
    found = {f"{kind}_{p}": p for p in range(len(layout.populations)) for kind in ("rows", "units")}
    for s, word in enumerate(layout.sums):
        found |= {f"sum_{s}": word.population, f"sq_{s}": word.population}
    return found | {f"keys_{place}": key.population for place, key in enumerate(layout.keys)}


def least_of(asked: Fragment) -> int:
    """Return how few units a cell may have by the bundle."""
    _, facts = read_fragment(asked.sql, CATALOG)
    asking = Asking(asked.subject, asked.purpose, datetime.now(UTC), project=asked.project)
    decision = authorize(facts, asking, BUNDLE, CATALOG)
    assert decision.permit
    return decision.disclosure.min_units


def too_small(answered: Answered, rows: PlainRows) -> list[tuple[str, tuple, int]]:
    """Return what of an answer is of fewer units than may be: (word, labels, units)."""
    units, words, least = (
        rows.units(answered.fragment),
        words_of(answered.fragment),
        least_of(answered.fragment),
    )
    names = [name for name in answered.cells.column_names if name in words]
    labels = [name for name in answered.cells.column_names if name.startswith("d")]
    found = []
    for one in answered.cells.to_pylist():
        key = tuple(plain(one[name]) for name in labels)
        if one["ml"] is not None:
            assert all(one[name] is None for name in names), "a cell without its label has no word"
            continue
        found += [
            (name, key, units[key][words[name]])
            for name in names
            if one[name] is not None and units[key][words[name]] < least
        ]
    return found


# --- the capture --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def capture(demo_data, tmp_path_factory):
    """Ask all that the demonstration asks; return every call and reply, and how many questions ended as they must."""
    settings = Settings(state=tmp_path_factory.mktemp("capture"), data=demo_data)
    with running(settings, lambda *_: None) as departments:
        dispatcher = departments.platform.gateway.dispatcher
        recorder = Recorder(departments.platform.transport)
        for link in dispatcher._links.values():
            link._caller = replace(link._caller, transport=recorder)
        cases = list(show._cases())
        ended = [asyncio.run(show._ask(departments, number, case)) for number, case in cases]
        wrong = [each.id for each in ended if not each.right]
        for sql in MORE:
            gateway = departments.platform.gateway
            asyncio.run(
                gateway.submit(gateway.request(sql, PERSONAS["analyst_stats"], "statistics"))
            )
    assert wrong == []
    return recorder.exchanges


@pytest.fixture(scope="module")
def needles(demo_data):
    return Needles(secrets(demo_data))


@pytest.fixture(scope="module")
def rows(demo_data):
    return PlainRows(demo_data)


def hay(capture):
    return b"\0".join(raw for each in capture for raw in (each.body, each.reply or b""))


def test_the_capture_is_of_the_whole_demonstration(capture):
    asked = {each.department for each in capture}
    assert asked == {*DEPARTMENTS, KEY_HOLDER}
    assert {each.name for each in capture} >= {
        "answer",
        "hello",
        "agree",
        "codes",
        "cells",
        "reveal",
        *(f"join_{step}" for step in ("open", "agree", "list", "rows", "sums", "reveal")),
    }
    assert len(list(answers(capture))) >= 10
    assert len(hay(capture)) > 100_000


def test_no_key_and_no_name_of_any_row_crossed_in_any_spelling(capture, needles):
    assert needles.found(hay(capture)) == set()


@pytest.mark.parametrize("spelling", ["utf-8", "utf-16-le", "utf-16-be", "little", "big"])
@pytest.mark.parametrize("name", ["id_number", "name", "household_id"])
def test_the_scan_finds_one_value_planted_anywhere(capture, needles, demo_data, name, spelling):
    with duckdb.connect(str(demo_data / "ga.duckdb"), read_only=True) as connection:
        query = f"SELECT {name} FROM population WHERE id_number NOT LIKE '%X' ORDER BY 1 LIMIT 1 OFFSET 7"
        ((value,),) = connection.execute(query).fetchall()
    number = spelling in {"little", "big"}
    raw = (
        int(value).to_bytes(8, spelling)
        if number and value.isdigit()
        else value.encode("utf-8" if number else spelling)
    )
    for place in (0, len(capture) // 2, len(capture) - 1):
        for side in ("body", "reply"):
            was = getattr(capture[place], side) or b""
            planted = replace(
                capture[place], **{side: was[: len(was) // 3] + raw + was[len(was) // 3 :]}
            )
            assert needles.found(hay([planted])) == {value}


def test_no_released_cell_is_of_fewer_units_than_the_threshold(capture, rows):
    assert [each for answered in answers(capture) for each in too_small(answered, rows)] == []


def test_the_count_finds_one_small_cell_planted(capture, rows):
    for answered in answers(capture):
        least, units = least_of(answered.fragment), rows.units(answered.fragment)
        if (
            least > 1
            and not answered.cells.column_names[0].startswith("d")
            and units[()][0] < least
        ):
            column = pa.array([Decimal(units[()][0])], answered.cells["rows_0"].type)
            place = answered.cells.column_names.index("rows_0")
            planted = decode_table(encode_table(answered.cells.set_column(place, "rows_0", column)))
            assert too_small(replace(answered, cells=planted), rows) == [
                ("rows_0", (), units[()][0])
            ]
            return
    raise AssertionError("the demonstration has a cell that is withheld")


def test_null_slots_of_every_answer_hold_nothing(capture):
    assert [
        held_by_nulls(each.cells) for each in answers(capture) if held_by_nulls(each.cells)
    ] == []


@pytest.mark.parametrize(
    "kind", [pa.int64(), pa.decimal128(38, 0), pa.string(), pa.bool_(), pa.date32()]
)
def test_the_look_at_null_slots_finds_a_value_in_one(kind):
    values = pa.array([1, 1], pa.int64()).cast(
        pa.string() if kind == pa.string() else pa.int32() if kind == pa.date32() else pa.int64()
    )
    whole = values.cast(kind)
    buffers = [pa.py_buffer(b"\x01"), *whole.buffers()[1:]]
    table = pa.table({"n": pa.Array.from_buffers(kind, 2, buffers)})
    assert table["n"].null_count == 1
    assert held_by_nulls(table) == {"n"}


# --- secure sums --------------------------------------------------------------------------------------------------


def own_words(data, department) -> set[int]:
    """Return every number that a county's own words could be: counts, units and sums of its cells."""
    path = str(data / f"{department}.duckdb")
    with duckdb.connect(path, read_only=True) as connection:
        found = connection.execute(
            "SELECT COUNT(*), COUNT(DISTINCT uscc), 0 FROM enterprise GROUP BY industry_section UNION ALL"
            " SELECT COUNT(*), COUNT(DISTINCT uscc), SUM(score) FROM inspection GROUP BY inspect_year"
        ).fetchall()
    return {int(value) for one in found for value in one}


def test_words_of_a_secure_sum_cross_under_masks(capture, demo_data):
    seen = 0
    for each in capture:
        if each.name in {"cells", "ladder"} and each.reply is not None:
            vector = MaskedVector.from_bytes(parts_of(each.reply)[1][0])
            own = own_words(demo_data, each.department) | {0, 1}
            assert not own & set(vector.words.tolist())
            seen += 1
    assert seen >= 12, "two secure sums of six counties"


def test_codes_of_groups_are_neither_labels_nor_their_digests(capture):
    labels = [
        json.dumps([value], separators=(",", ":")).encode()
        for value in ("C", "H", *range(2000, 2030))
    ]
    digests = {hashlib.sha256(label).digest()[:16] for label in labels}
    seen = 0
    for each in capture:
        if each.name == "codes" and each.reply is not None:
            raw = parts_of(each.reply)[1][0]
            codes = CodeList.from_bytes(raw).codes
            assert not set(codes) & digests
            assert not any(label in raw for label in labels)
            seen += len(codes)
    assert seen >= 12


# --- private joins ------------------------------------------------------------------------------------------------


@dataclass
class Joined:
    """One private join as it crossed."""

    fragment: Fragment
    heads: dict[str, ListHead]
    rows: dict[str, ListPart]
    asked: list[GroupLists]
    named: dict[str, tuple[bytes, ...]]


def joins(capture) -> list[Joined]:
    found: dict[str, Joined] = {}
    for each in capture:
        if not each.name.startswith("join_") or not each.reply:
            continue
        header, told = parts_of(each.body)
        said = parts_of(each.reply)[1]
        if each.name == "join_open":
            fragment_there = Fragment.from_mapping(json.loads(told[0]))
            key = round_key(fragment_there)
            found.setdefault(key, Joined(fragment_there, {}, {}, [], {}))
            continue
        here = found[header["fields"]["key"]]
        if each.name == "join_list" and said:
            here.heads[each.department] = ListHead.from_bytes(said[0])
        elif each.name == "join_rows" and said:
            here.rows[each.department] = ListPart.from_bytes(said[0], here.heads[each.department])
        elif each.name == "join_sums" and said:
            here.asked.append(GroupLists.from_bytes(told[0]))
        elif each.name == "join_reveal" and said:
            here.named[each.department] = LabelList.from_bytes(said[0]).codes
    return list(found.values())


@pytest.fixture(scope="module")
def joined(capture):
    found = joins(capture)
    assert len(found) >= 8, "the demonstration's questions over several departments"
    assert sum(len(each.asked) for each in found) >= 8
    return found


def test_tokens_and_words_of_private_joins_look_drawn_and_are_no_digest_of_a_key(joined, demo_data):
    keys = [each.encode() for each in secrets(demo_data)]
    plain_digests = {make(key).digest()[:16] for key in keys for make in (hashlib.sha256, hashlib.sha512, hashlib.md5)}  # fmt: skip
    lists = [part for each in joined for part in each.rows.values()]
    tokens = np.unique(np.concatenate([part.tokens for part in lists]), axis=0)
    assert len(tokens) > 10_000
    assert even_bytes(tokens.tobytes()) > HONEST
    assert not {token.tobytes() for token in tokens} & plain_digests
    for part in lists:
        if part.words.size > 200:
            assert even_bytes(part.words.tobytes()) > HONEST
            assert even_words(part.words) > HONEST


def test_words_without_masks_would_be_told(joined):
    part = max((part for each in joined for part in each.rows.values()), key=lambda one: one.words.size)  # fmt: skip
    small = part.words >> np.uint64(40)
    assert even_words(small) < LEAKING
    assert even_bytes(small.tobytes()) < LEAKING


def test_tokens_of_two_private_joins_share_nothing(joined):
    every = [{token.tobytes() for part in each.rows.values() for token in part.tokens} for each in joined]  # fmt: skip
    assert sum(map(len, every)) == len(set().union(*every))


def test_no_group_of_a_private_join_that_is_unmasked_or_named_is_small(joined):
    for each in joined:
        least = least_of(each.fragment)
        for asked in each.asked:
            sizes = sum(np.diff(starts).astype(int) for starts in asked.starts)
            assert sizes.min(initial=least) >= least
        for name, codes in each.named.items():
            if name in each.heads and name not in COUNTIES:
                counts = np.bincount(each.rows[name].codes) if codes else []
                places = {code: at for at, code in enumerate(each.heads[name].codes)}
                assert all(counts[places[code]] >= least for code in codes if code in places)
