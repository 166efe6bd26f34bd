"""Sealed answers end to end: what the recipient opens is the plain answer, and nobody else reads a value."""

import copy
import hashlib
from dataclasses import replace

import made_platform
import made_world as made
import numpy as np
import pytest

from middleplatform.crypto.sealed_packing import RESIDUE_BYTES
from middleplatform.crypto.sealed_sum import add_plain, open_words, seal
from middleplatform.errors import MiddleplatformError, PolicyError, ProtocolError, QueryError
from middleplatform.model.sealed import SealedAnswer
from tests.fakes.sealed_world import SealedPlatform, bundle, opening_key, spellings, texts

LOCAL = "SELECT region, COUNT(*) AS n, AVG(education) AS mean, STDDEV(education) AS spread FROM ga.person GROUP BY region ORDER BY region DESC"
SUMMED = "SELECT section, COUNT(*) AS n, SUM(capital) AS s, VAR_POP(staff) AS v, SUM(staff) AS t FROM city.firm GROUP BY section ORDER BY 1"
LABELLED = "SELECT sex, birth_year, SUM(education) AS s, COUNT(*) FILTER (WHERE education > 9) AS high FROM ga.person GROUP BY sex, birth_year ORDER BY birth_year, sex LIMIT 5 OFFSET 1"
DATED = "SELECT DATE_TRUNC('month', born) AS month, local, COUNT(DISTINCT household) AS h FROM ga.person GROUP BY 1, 2 ORDER BY 1, 2"
WHOLE = "SELECT COUNT(*) AS n, AVG(staff) AS a FROM city.firm"


@pytest.fixture
def platform(tmp_path):
    with SealedPlatform(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A platform that its tests leave as it is."""
    with SealedPlatform(tmp_path_factory.mktemp("sealed")) as opened:
        yield opened


@pytest.fixture(scope="module")
def document(shared):
    return shared.sealed(LOCAL)


@pytest.mark.parametrize("sql", [LOCAL, SUMMED, LABELLED, DATED, WHOLE])
def test_an_opened_answer_is_the_plain_one_to_the_last_bit(shared, sql):
    plain = shared.ask(sql)
    document = shared.sealed(sql)
    opened = shared.open(document)
    assert plain.release.table.num_rows
    assert opened.release.digest == plain.release.digest
    assert opened.release.table.schema == plain.release.table.schema


@pytest.mark.parametrize("sql", [LOCAL, SUMMED])
def test_nothing_that_the_gateway_has_shows_a_value(shared, sql):
    plain = shared.ask(sql)
    answer = shared.ask(sql, sealed_for=shared.published.id)
    values = [
        name for name in plain.release.table.column_names if name not in ("region", "section")
    ]
    for name in values:
        assert answer.release.table[name].null_count == answer.release.table.num_rows
        assert plain.release.table[name].null_count == 0
    told = [body for event, body in shared.entries() if event == "released"][-1]
    assert told["sealed_for"] == shared.published.id
    assert told["sealed_digest"] == answer.sealed.digest()


def test_cells_below_the_threshold_are_neither_shown_nor_sealed(tmp_path):
    rows = made_platform.complete_rows()
    rows["firm"] = [
        (code, region, "Z" if place < 6 else section, *rest)
        for place, (code, region, section, *rest) in enumerate(rows["firm"])
    ]
    with SealedPlatform(tmp_path, rows) as platform:
        opened = platform.open(platform.sealed(SUMMED))
        assert "Z" not in opened.release.table["section"].to_pylist()
        assert opened.sealed.cells == opened.release.table.num_rows
        assert {each.reason for each in opened.release.withheld} == {"threshold"}


def test_a_withheld_value_is_sealed_as_zero(tmp_path):
    rows = made_platform.complete_rows()
    rows["person"] = [
        (*row[:8], 0 if row[3] == "990101" else row[8], row[9]) for row in rows["person"]
    ]
    with SealedPlatform(tmp_path, rows) as platform:
        plain, opened = platform.ask(LOCAL), platform.open(platform.sealed(LOCAL))
        assert opened.release.marks["mean"].to_pylist().count("homogeneity") == 1
        assert opened.release.digest == plain.release.digest


def test_a_department_that_dominates_withholds_the_sum_without_showing_it(tmp_path):
    rows = made_platform.complete_rows()
    first = next(place for place, row in enumerate(rows["firm"]) if row[2] == "A")
    row = rows["firm"][first]
    rows["firm"][first] = (*row[:3], 10_000_000, *row[4:])
    with SealedPlatform(tmp_path, rows) as platform:
        opened = platform.open(platform.sealed(SUMMED))
        place = opened.release.table["section"].to_pylist().index("A")
        assert opened.release.marks["s"].to_pylist()[place] == "dominance"
        assert opened.release.table["n"].to_pylist()[place] is not None


# --- who may, under which key -----------------------------------------------------------------------------------------


def refused(platform, sql=LOCAL, **asked):
    with pytest.raises(MiddleplatformError) as caught:
        platform.sealed(sql, **asked)
    return caught.value


def test_a_key_that_nobody_published_seals_nothing(shared):
    assert refused(shared, sealed_for="0" * 64).code == "Q041"


def test_a_withdrawn_key_seals_no_more_and_still_opens(platform):
    document = platform.sealed(LOCAL)
    platform.desk.revoke(made.ANALYST, platform.published.id, "lost")
    assert refused(platform).code == "Q040"
    assert platform.open(document).release.table.num_rows == 3


def test_after_rotation_the_new_key_seals_and_the_old_one_still_opens(platform):
    before = platform.sealed(LOCAL)
    key = opening_key("li", 1)
    found = platform.desk.publish(made.ANALYST, *texts(key), replaces=platform.published.id)
    assert refused(platform).code == "Q040"
    after = platform.sealed(LOCAL, sealed_for=found.id)
    assert platform.open(before).release.digest == platform.open(after, key).release.digest
    actions = [body["action"] for event, body in platform.entries() if event == "key"]
    assert actions == ["sealing key published", "sealing key rotated"]


def test_an_answer_is_not_sealed_for_another_department(platform):
    outsider = replace(made.ANALYST, id="qian", department="tax")
    found = platform.desk.publish(outsider, *texts(opening_key("qian")))
    error = refused(platform, sealed_for=found.id)
    assert (error.code, type(error)) == ("P004", PolicyError)


def test_only_its_owner_or_a_security_officer_withdraws_a_key(shared):
    with pytest.raises(PolicyError) as caught:
        shared.desk.revoke(made.COUNTY, shared.published.id)
    assert caught.value.code == "P004"
    assert not shared.desk.registry.find(shared.published.id).revoked_at


# --- what may be sealed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region HAVING COUNT(*) > 20",
        "SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region ORDER BY n",
        "SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region ORDER BY 2 DESC LIMIT 1",
        "SELECT region, SUM(education) / COUNT(*) AS m FROM ga.person GROUP BY region",
        "SELECT region, RANK() OVER (ORDER BY COUNT(*)) AS r FROM ga.person GROUP BY region",
        "SELECT DISTINCT region FROM ga.person",
        "SELECT SUM(x.n) AS n FROM (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) x",
        "SELECT x.n FROM (SELECT region, COUNT(*) AS n FROM ga.person GROUP BY region) x WHERE x.n > 3",
        "SELECT COUNT(*) AS n FROM ga.person UNION ALL SELECT COUNT(*) FROM ga.income",
        "SELECT region, COUNT(*) AS n, (SELECT COUNT(*) FROM ga.person) AS whole FROM ga.person GROUP BY region",
    ],
)
def test_what_would_need_a_value_in_the_clear_is_refused_before_anything_is_sent(shared, sql):
    shared.wire.clear()
    error = refused(shared, sql)
    assert (error.code, shared.wire) == ("Q031", [])
    assert "labels and aggregates" in error.message("en")
    assert (
        shared.gateway.explain(shared.request(sql, sealed_for=shared.published.id)).code == "Q031"
    )


def test_a_measure_leaves_sealed_only_where_policy_says_so(tmp_path):
    rules = made.with_column(bundle(), "ga.person", "education", release="sealed")
    with SealedPlatform(tmp_path, rules=rules) as platform:
        error = refused(platform, sealed_for="")
        assert (error.code, error.rule) == ("P001", "R3")
        assert "--sealed-for" in error.reasons[0].hint[0]
        assert platform.open(platform.sealed(LOCAL)).release.table.num_rows == 3


def test_a_measure_that_is_released_plain_only_is_not_sealed(tmp_path):
    with SealedPlatform(tmp_path, rules=made.BUNDLE) as platform:
        assert (refused(platform).code, platform.wire) == ("P001", [])
        assert platform.open(platform.sealed(WHOLE.replace("AVG(staff)", "COUNT(*)"))).release


def test_labels_are_not_made_of_what_leaves_sealed_only(tmp_path):
    rules = made.with_column(bundle(), "ga.person", "region", release="sealed")
    with SealedPlatform(tmp_path, rules=rules) as platform:
        assert refused(platform).rule == "R4"


def test_explain_says_that_the_gateway_learns_no_value(shared):
    shared.wire.clear()
    found = shared.gateway.explain(shared.request(SUMMED, sealed_for=shared.published.id))
    learns = [
        step.learns[0]
        for step in found.steps
        if step.party == "gateway" and step.stage == "dispatch"
    ]
    assert all("no magnitude" in text for text in learns)
    assert found.steps[-1].stage == "open"
    assert shared.wire == []


# --- opening ----------------------------------------------------------------------------------------------------------


def test_another_key_opens_nothing(shared):
    with pytest.raises(QueryError) as caught:
        shared.open(shared.sealed(LOCAL), opening_key("li", 1))
    assert caught.value.code == "Q040"


def changed(document, path, value):
    made_up = copy.deepcopy(document)
    place = made_up["sealed"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value(place[path[-1]])
    return made_up


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows",), lambda rows: rows[::-1]),
        (("columns", 0, "labels"), lambda labels: labels[::-1]),
        (("columns", 1, "name"), lambda _: "other"),
        (("columns", 1, "marks", 0), lambda _: "threshold"),
        (("formulas", 1, "kind"), lambda _: "sum"),
        (("ciphertexts",), lambda text: text[:-8] + ("AAAAAAA=" if text[-8:] != "AAAAAAA=" else "BAAAAAA=")),
        (("query_id",), lambda _: "0" * 32),
        (("receipts",), lambda _: {}),
        (("signature",), lambda text: text[::-1]),
    ],
)  # fmt: skip
def test_an_answer_that_was_changed_on_its_way_is_not_opened(shared, document, path, value):
    with pytest.raises(ProtocolError) as caught:
        shared.open(changed(document, path, value))
    assert caught.value.code == "X001"
    assert shared.open(document).release.table.num_rows == 3


@pytest.mark.parametrize(
    ("path", "value"),
    [(("rows",), lambda rows: [99, *rows[1:]]), (("format",), lambda _: "v9"), (("cells",), lambda _: True), (("sums",), lambda _: [1.5])],
)  # fmt: skip
def test_what_has_not_the_form_of_a_sealed_answer_is_refused_as_such(shared, document, path, value):
    with pytest.raises(QueryError) as caught:
        shared.open(changed(document, path, value))
    assert caught.value.code == "Q040"


def signed_again(platform, sealed):
    signature = platform.keys["gateway"].sign("sealed answer", sealed.signed_bytes()).hex()
    return replace(sealed, signature=signature).to_mapping()


def test_a_gateway_cannot_have_one_department_alone_opened(shared):
    """The gateway itself signs: it passes one department's ciphertexts off as the total."""
    document = shared.sealed(SUMMED)
    parts = [raw for name, call, raw in shared.wire if (name, call) == ("c2", "seal")]
    sealed = SealedAnswer.from_mapping(document["sealed"])
    length = int.from_bytes(parts[-1][:4], "big")
    alone = replace(sealed, ciphertexts=parts[-1][4 : 4 + length])
    assert len(alone.ciphertexts) == len(sealed.ciphertexts)
    with pytest.raises(ProtocolError) as caught:
        shared.open({**document, "sealed": signed_again(shared, alone)})
    assert caught.value.code == "X001"


@pytest.mark.parametrize("change", ["codes", "flags"])
def test_departments_that_were_told_different_things_seal_nothing_that_opens(platform, change):
    """A gateway that wants one department's cells has the others seal fewer: their masks do not cancel."""
    plain = platform.dispatcher.link("c2")

    class Lying:
        department = "c2"

        def __getattr__(self, name):
            return getattr(plain, name)

        async def seal(self, key, codes, released):
            flags = bytes([0] * len(released)) if change == "flags" else released
            told = [*codes[1:], codes[-1][:-1] + b"\xff"] if change == "codes" else codes
            return await plain.seal(key, told, flags)

    platform.use_link(Lying())
    with pytest.raises(ProtocolError) as caught:
        platform.open(platform.sealed(SUMMED))
    assert caught.value.code == ("X004" if change == "flags" else "X001")


def test_the_logs_of_gateway_and_node_name_the_key(platform):
    platform.sealed(LOCAL)
    entries = [entry.record for entry in platform.nodes["ga"].journal.log.entries()]
    assert entries[-1].body["sealed_for"] == platform.published.id
    assert platform.entries()[-1][1]["sealed_for"] == platform.published.id


def test_a_query_is_opened_under_one_ticket_only_and_that_one_again(platform):
    document = platform.sealed(LOCAL)
    platform.open(document)
    assert platform.open(document).release.table.num_rows == 3
    sealed = SealedAnswer.from_mapping(document["sealed"])
    other = SealedAnswer.from_mapping(platform.sealed(LOCAL)["sealed"])
    mixed = replace(other, query_id=sealed.query_id)
    with pytest.raises(ProtocolError) as caught:
        platform.open({**document, "sealed": signed_again(platform, mixed)})
    assert caught.value.code == "X001"
    book = hashlib.sha256(b"another ticket").digest()
    platform.book._database.execute("UPDATE opened SET ticket = ?", (book,))
    with pytest.raises(ProtocolError) as caught:
        platform.open(document)
    assert caught.value.code == "X002"


# --- private join: the helper's mask sums and the gateway's masked sums ---------------------------------------------


def test_masked_sums_and_sealed_mask_sums_give_the_totals_to_the_recipient_alone():
    key = opening_key()
    totals = np.array([[5, -7], [2**62, 0], [-(2**62), 1]], dtype=np.int64)
    masks = np.frombuffer(hashlib.shake_256(b"masks").digest(48), dtype="<u8").reshape(3, 2)
    masked = totals.view(np.uint64) - masks
    helper = seal(masks.reshape(-1).copy(), key.public, parties=2, slot_bytes=RESIDUE_BYTES)
    whole = add_plain(helper, masked.reshape(-1))
    assert open_words(key, whole).reshape(3, 2).view(np.int64).tolist() == totals.tolist()
    assert whole.ciphertexts != helper.ciphertexts


# --- the private key stays where it is --------------------------------------------------------------------------------


def test_no_byte_of_the_private_key_is_at_gateway_or_node_or_on_the_wire(platform, tmp_path):
    for sql in (LOCAL, SUMMED):
        platform.open(platform.sealed(sql))
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    kept += [raw for _, _, raw in platform.wire]
    private = platform.key.to_phe()
    secret = [text for prime in (private.p, private.q) for text in spellings(prime)]
    assert [text for text in secret if any(text in raw for raw in kept)] == []
    public = platform.key.public.n.to_bytes(256, "big")
    assert sum(public in raw for raw in kept) > 4, "what is public is found in the same places"


def test_the_words_of_a_plain_answer_are_in_no_byte_of_a_sealed_one(shared):
    plain = shared.ask("SELECT SUM(capital) AS s FROM city.firm").release.table["s"].to_pylist()[0]
    start = len(shared.wire)
    shared.sealed("SELECT SUM(capital) AS s FROM city.firm")
    total = int(plain.scaleb(4))
    raw = [each for _, _, each in shared.wire[start:]]
    for size in (8, 16):
        told = total.to_bytes(size, "little")
        assert not any(told[:6] in each for each in raw)


def test_the_same_question_gives_other_ciphertexts(shared):
    first, second = shared.sealed(LOCAL)["sealed"], shared.sealed(LOCAL)["sealed"]
    assert first["ciphertexts"] != second["ciphertexts"]
