"""What a node takes, what it refuses, and what leaves it."""

import json
from dataclasses import replace

import made_platform
import made_world as made
import pytest

from connectors.spi import ConnectorError, ErrorKind
from middleplatform.crypto.receipts import verify_receipt
from middleplatform.errors import DisclosureError, MiddleplatformError, ProtocolError
from middleplatform.node.error_map import mapped
from middleplatform.wire.tables import digest_of, encode_table

COUNT = 'SELECT "t0"."sex" AS "d0", COUNT(*) AS "a0" FROM "ga"."person" AS "t0" GROUP BY "t0"."sex"'
FIRMS = 'SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"'


def refused(platform, fragment, department="ga", protocol="local", *, raw=None, key="gateway"):
    with pytest.raises(ProtocolError) as caught:
        platform.nodes[department].accept(*platform.signed(fragment, key, raw), protocol)
    return caught.value


def test_a_signed_fragment_within_policy_is_accepted(platform):
    task = platform.nodes["ga"].accept(*platform.signed(platform.fragment(COUNT)), "local")
    assert task.decision.permit
    assert len(task.cell.dimensions) == 1


def test_only_the_gateways_signature_counts(platform):
    assert refused(platform, platform.fragment(COUNT), key="c1").code == "X001"
    raw, signature = platform.signed(platform.fragment(COUNT))
    for wrong in (signature[:-1] + bytes([signature[-1] ^ 1]), b"", bytes(64)):
        with pytest.raises(ProtocolError) as caught:
            platform.nodes["ga"].accept(raw, wrong, "local")
        assert caught.value.code == "X001"


@pytest.mark.parametrize(
    "changes",
    [
        {"department": "c1", "cohort": ("c1",)}, {"protocol": "secure_sum", "cohort": ("ga",)}, {"cohort": ("c1",)}, {"cohort": ("c1", "ga")}, {"cohort": ()}, {"protocol": "other"},
    ],
)  # fmt: skip
def test_a_fragment_for_somebody_else_is_refused(platform, changes):
    assert refused(platform, replace(platform.fragment(COUNT), **changes)).code == "X001"


def bytes_of(platform, change):
    body = json.loads(platform.fragment(COUNT).to_bytes())
    return change(body)


def canonical(body):
    return json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda body: json.dumps(body).encode(), lambda body: canonical(body) + b"\n", lambda body: canonical({**body, "extra": 1}), lambda body: canonical({k: v for k, v in body.items() if k != "sql"}),
        lambda body: canonical({**body, "subject": "li"}), lambda body: canonical({**body, "cohort": "ga"}), lambda body: canonical([body]), lambda _: b"", lambda _: b"\xff", lambda _: b"null",
        lambda body: canonical({**body, "subject": {**body["subject"], "roles": ["king"]}}), lambda body: canonical({**body, "subject": {**body["subject"], "extra": 1}}),
    ],
)  # fmt: skip
def test_what_is_not_a_canonical_fragment_is_refused(platform, change):
    assert refused(platform, None, raw=bytes_of(platform, change)).code == "X001"


def test_an_end_that_nobody_foresaw_is_in_the_nodes_log_too(tmp_path):
    with made_platform.Platform(tmp_path) as platform:
        node = platform.nodes["ga"]
        node.catalog = None
        with pytest.raises(AttributeError):
            node.accept(*platform.signed(platform.fragment(COUNT)), "local")
        last = list(node.journal.log.entries())[-1].record
        assert (last.event, last.body["code"]) == ("failed", "C099")


def test_a_fragment_is_served_once_and_a_new_attempt_again(platform):
    fragment = platform.fragment(COUNT)
    platform.nodes["ga"].accept(*platform.signed(fragment), "local")
    assert refused(platform, fragment).code == "X002"
    platform.nodes["ga"].accept(*platform.signed(replace(fragment, attempt=2)), "local")


@pytest.mark.parametrize(
    ("sql", "rule"),
    [
        ("SELECT name FROM ga.person", "R0"), ('SELECT "name" AS "d0", COUNT(*) AS "a0" FROM ga.person GROUP BY "name"', "R1"), ("SELECT COUNT(*) FROM ga.person WHERE education = 12", "R3"),
        ("SELECT birth_year, COUNT(*) FROM ga.person GROUP BY birth_year", "R4"), ("SELECT born, COUNT(*) FROM ga.person GROUP BY born", "R4"), ("SELECT COUNT(*) FROM tax.payer", "R0"),
        ("SELECT COUNT(*) FROM city.firm", "R0"), ("DROP TABLE person", "R0"), ("SELECT COUNT(*) FROM ga.person UNION ALL SELECT COUNT(*) FROM ga.income", "R0"), ("not SQL", "R0"),
        ("SELECT COUNT(*) FROM ga.nothing", "R0"),
    ],
)  # fmt: skip
def test_a_fragment_outside_the_nodes_own_policy_is_refused_with_its_rule(platform, sql, rule):
    error = refused(platform, platform.fragment(sql))
    assert (error.code, error.rule) == ("X003", rule)
    assert error.parts["department"] == "ga"


def test_a_part_of_a_logical_table_is_no_answer_of_its_own(platform):
    fragment = platform.fragment(FIRMS, "c1")
    assert (refused(platform, fragment, "c1").code, refused(platform, replace(fragment, attempt=2), "c1").rule) == ("X003", "R5")  # fmt: skip


@pytest.mark.parametrize("cohort", [("c1", "c2"), ("c1",), ("c1", "c2", "c3", "c4"), ("c1", "c1", "c2", "c3")])  # fmt: skip
def test_a_cohort_other_than_the_holders_is_refused(platform, cohort):
    fragment = platform.fragment(FIRMS, "c1", "secure_sum", cohort)
    assert refused(platform, fragment, "c1", "secure_sum").rule == "R5"


@pytest.mark.parametrize("changes", [{"purpose": "nothing"}, {"subject": replace(made.ANALYST, roles=frozenset())}])  # fmt: skip
def test_purpose_and_subject_are_judged_by_the_node_too(platform, changes):
    assert refused(platform, platform.fragment(COUNT, **changes)).rule == "G2"


def test_the_nodes_own_region_filter_is_added(platform):
    task = platform.nodes["ga"].accept(*platform.signed(platform.fragment(COUNT, subject=made.COUNTY)), "local")  # fmt: skip
    assert "990101" in repr(task.cell.rows.where)


def test_the_nodes_own_threshold_holds_whatever_the_gateway_thinks(tmp_path):
    strict = made_platform.with_parameters(min_units=500)
    with made_platform.Platform(tmp_path, strict) as platform:
        found = platform.nodes["ga"].answer(*platform.signed(platform.fragment(COUNT)))
        assert found.cells["m0"].to_pylist() == ["threshold", "threshold"]
        assert found.cells["rows_0"].to_pylist() == [None, None]


def test_what_leaves_is_labels_words_and_marks_with_a_receipt(platform):
    fragment = platform.fragment(COUNT)
    found = platform.nodes["ga"].answer(*platform.signed(fragment))
    assert set(found.cells.column_names) == {"d0", "ml", "rows_0", "m0"}
    fields = verify_receipt(found.receipt, "ga", platform.pins)
    assert (fields.fragment_digest, fields.cells, fields.protocol) == (fragment.digest(), 2, "local")  # fmt: skip
    assert fields.result_digest == digest_of(encode_table(found.cells))
    assert fields.policy_digest == platform.bundle.digest


def test_evidence_never_leaves(platform):
    sql = "SELECT sex, SUM(education) FILTER (WHERE local) AS a0 FROM ga.person GROUP BY sex"
    found = platform.nodes["ga"].answer(*platform.signed(platform.fragment(sql)))
    assert not [name for name in found.cells.column_names if name.startswith(("top", "abs", "rest", "neg", "units", "u"))]  # fmt: skip


def test_a_sensitive_label_of_a_small_cell_does_not_leave(tmp_path):
    rows = made.make_rows()
    rows["person"] = [(*row[:9], "Z99" if place < 3 else "A01" if place % 2 else "J45") for place, row in enumerate(rows["person"])]  # fmt: skip
    with made_platform.Platform(tmp_path, rows=rows) as platform:
        found = platform.nodes["ga"].answer(*platform.signed(platform.fragment("SELECT diagnosis, COUNT(*) FROM ga.person GROUP BY diagnosis")))  # fmt: skip
        assert "Z99" not in found.cells["d0"].to_pylist()
        assert "threshold" in found.cells["ml"].to_pylist()


# --- source ---------------------------------------------------------------------------------------------------------


class BrokenConnector:
    """Fails in one way, with a driver's words that quote a row."""

    def __init__(self, kind, whole):
        self.kind, self.whole = kind, whole

    def capabilities(self):
        return self.whole.capabilities()

    def describe(self, names):
        return self.whole.describe(names)

    def execute(self, *_):
        raise ConnectorError(self.kind, "value 990101199001011234 of row 7")


@pytest.mark.parametrize("kind", ErrorKind)
def test_every_failure_of_a_source_has_a_code_and_no_word_of_the_driver(platform, kind):
    node = platform.nodes["ga"]
    broken = replace(node.source, connector=BrokenConnector(kind, node.source.connector))
    node = replace(node, source=broken)
    with pytest.raises(MiddleplatformError) as caught:
        node.answer(*platform.signed(platform.fragment(COUNT)))
    error = caught.value
    for locale in ("en", "zh"):
        assert "990101" not in error.message(locale)
    # A failing engine quotes the value that it failed on; the operator has no right to it either.
    assert ("990101" in error.detail) == (kind is not ErrorKind.FAILED)
    assert error.__cause__ is None


def test_the_error_map_is_total_and_tells_kinds_apart():
    codes = {kind: mapped(ConnectorError(kind), "ga", "ga.person").code for kind in ErrorKind}
    assert codes == {
        ErrorKind.MISSING: "C004", ErrorKind.LOCKED: "C005", ErrorKind.UNREACHABLE: "S001", ErrorKind.TIMEOUT: "S002", ErrorKind.SCHEMA: "S010",
        ErrorKind.LIMIT: "L002", ErrorKind.CANCELLED: "L003", ErrorKind.REFUSED: "S003", ErrorKind.FAILED: "S003",
    }  # fmt: skip


# --- history (R14) --------------------------------------------------------------------------------------------------


def history_rows(extra):
    """Return 200 persons, of whom the last ``extra`` are of region 990103."""
    rows = made_platform.complete_rows()
    rows["person"] = [
        (f"P{place:04}", place, "x", "990103" if place >= 200 - extra else f"99010{place % 2 + 1}", "12"[place % 2], 1980 + place % 2, made.date(1980, 1, 1), place % 4 < 2, 5 + place % 9, "A01")
        for place in range(200)
    ]  # fmt: skip
    return rows


class Asker:
    def __init__(self, platform):
        self.platform, self.count = platform, 0

    def __call__(self, sql, project="drc"):
        self.count += 1
        fragment = self.platform.fragment(sql, query_id=f"h{self.count}", project=project)
        return self.platform.nodes["ga"].answer(*self.platform.signed(fragment)).cells


@pytest.fixture
def ask(tmp_path):
    with made_platform.Platform(tmp_path, rows=history_rows(4)) as platform:
        yield Asker(platform)


ALL = "SELECT COUNT(*) FROM ga.person"
BUT_FOUR = "SELECT COUNT(*) FROM ga.person WHERE region <> '990103'"


def test_the_same_question_gets_the_same_answer(ask):
    assert ask(ALL)["rows_0"].to_pylist() == ask(ALL)["rows_0"].to_pylist() == [200]


@pytest.mark.parametrize("pair", [(ALL, BUT_FOUR), (BUT_FOUR, ALL)])
def test_a_population_that_differs_by_fewer_than_k_units_is_refused(ask, pair):
    ask(pair[0])
    with pytest.raises(DisclosureError) as caught:
        ask(pair[1])
    assert (caught.value.code, caught.value.rule) == ("D010", "R14")


def test_another_project_has_its_own_history(ask):
    ask(ALL)
    assert ask(BUT_FOUR, project="other")["rows_0"].to_pylist() == [196]


def test_a_clearly_different_population_is_answered(ask):
    ask(ALL)
    assert ask("SELECT COUNT(*) FROM ga.person WHERE sex = '1'")["m0"].to_pylist() == [None]


def test_the_complement_of_an_earlier_population_is_near_it(ask):
    ask("SELECT COUNT(*) FROM ga.person WHERE region = '990101'")
    with pytest.raises(DisclosureError):
        ask("SELECT COUNT(*) FROM ga.person WHERE region = '990102'")


def test_a_withheld_cell_cannot_be_had_from_the_total_in_either_order(tmp_path):
    grouped = "SELECT region, COUNT(*) FROM ga.person GROUP BY region"
    for first, second in ((ALL, grouped), (grouped, ALL)):
        folder = tmp_path / str(first is ALL)
        folder.mkdir()
        with made_platform.Platform(folder, rows=history_rows(4)) as platform:
            ask = Asker(platform)
            shown = []
            for sql in (first, second):
                try:
                    cells = ask(sql)
                except DisclosureError:
                    shown.append({})
                    continue
                labels = cells["d0"].to_pylist() if "d0" in cells.column_names else ["all"]
                shown.append({label: value for label, value in zip(labels, cells["rows_0"].to_pylist(), strict=True) if value is not None})  # fmt: skip
            known = {**shown[0], **shown[1]}
            assert "990103" not in known
            assert not ("all" in known and {"990101", "990102"} <= set(known)), (
                "the rest would tell"
            )


def test_two_conditions_of_one_block_are_held_against_each_other(ask):
    cells = ask("SELECT COUNT(*) FILTER (WHERE region <> '990103') AS a0, COUNT(*) AS a1 FROM ga.person")  # fmt: skip
    assert None in (cells["rows_0"].to_pylist()[0], cells["rows_1"].to_pylist()[0])


def test_own_data_keeps_no_history(platform):
    node = platform.nodes["ga"]
    for number, sql in enumerate([ALL, BUT_FOUR]):
        fragment = platform.fragment(sql, subject=made.STEWARD, purpose="data_quality", project="ga", query_id=f"own{number}")  # fmt: skip
        assert node.answer(*platform.signed(fragment)).cells["m0"].to_pylist() == [None]


@pytest.mark.parametrize(
    "change",
    [
        {"sql": "\ud800"}, {"query_id": 5}, {"query_id": ["a"]}, {"attempt": "1"}, {"attempt": True}, {"number": -1}, {"number": 2**40}, {"cohort": "ga"}, {"cohort": [1]},
        {"subject": None}, {"subject": {"id": 1, "department": "drc", "roles": [], "regions": []}}, {"subject": {"id": "x", "department": "drc", "roles": ["root"], "regions": []}}, {"more": "x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_fragment_of_other_types_is_malformed_and_in_the_nodes_log(platform, change):
    node, body = platform.nodes["ga"], json.loads(platform.fragment(COUNT).to_bytes())
    raw = json.dumps({**body, **change}, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")  # fmt: skip
    with pytest.raises(ProtocolError) as caught:
        node.answer(*platform.signed(None, raw=raw))
    assert caught.value.code == "X001"
    last = list(node.journal.log.entries())[-1]
    assert (last.record.event, last.record.body["code"], len(last.record.body["message"])) == ("refused", "X001", 64)  # fmt: skip
