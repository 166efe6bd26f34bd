"""Is a private join under a recipient's key the plain answer when opened, and nothing but counts to the gateway?"""

import asyncio
import base64
import json
from dataclasses import replace
from decimal import Decimal

import made_join
import numpy as np
import pytest
from made_joined import Changed, rows

from middleplatform.access import shapes
from middleplatform.crypto.sealed_layout import join_layout, join_ticket_subject
from middleplatform.crypto.sealed_packing import RESIDUE_BYTES
from middleplatform.crypto.sealed_sum import SealedWords, open_words, seal
from middleplatform.crypto.tickets import sign_input
from middleplatform.errors import MiddleplatformError, ProtocolError, SourceError
from middleplatform.node.service import KEY_HOLDER
from middleplatform.planner.layout import layout_of
from middleplatform.planner.side_words import summed_columns, width
from middleplatform.wire.frame import pack, unpack
from middleplatform.wire.join_lists import GroupSums, ListHead, ListPart, ReleasedCells
from tests.fakes.evenness import HONEST, even_words
from tests.fakes.sealed_joined import SealedJoined, bundle, large_rows, with_least

PEOPLE = "FROM ga.person p JOIN tax.payer t ON p.id = t.id"
TWO = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 {PEOPLE} GROUP BY p.region"
BOTH = f"SELECT p.region AS d0, t.district AS d1, SUM(t.paid) AS a0, AVG(p.education) AS a1 {PEOPLE} GROUP BY p.region, t.district"  # fmt: skip
SPREAD = f"SELECT p.sex AS d0, COUNT(*) AS n, AVG(p.education) AS a0, VAR_SAMP(p.education) AS a1, STDDEV_POP(t.paid) AS a2 {PEOPLE} GROUP BY p.sex"  # fmt: skip
CONDITIONS = f"SELECT p.region AS d0, COUNT(*) FILTER (WHERE t.paid > 100) AS n, SUM(t.paid) FILTER (WHERE t.paid > 100) AS a0, SUM(t.paid) AS a1 {PEOPLE} GROUP BY p.region"  # fmt: skip
WHOLE = f"SELECT COUNT(*) AS n, SUM(p.education) AS a0, SUM(t.paid) AS a1 {PEOPLE}"
COUNTED = f"SELECT p.region AS d0, COUNT(*) AS n {PEOPLE} GROUP BY p.region"
ANTI = "SELECT p.region AS d0, COUNT(*) AS n, SUM(p.education) AS a0 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id WHERE t.id IS NULL GROUP BY p.region"  # fmt: skip
OUTER = "SELECT p.sex AS d0, t.district AS d1, COUNT(*) AS n, SUM(p.education) AS a0, SUM(t.paid) AS a1 FROM ga.person p LEFT JOIN tax.payer t ON p.id = t.id GROUP BY p.sex, t.district"  # fmt: skip
PARTS = "SELECT f.section AS d0, COUNT(*) AS n, SUM(f.staff) AS a0, VAR_POP(f.capital) AS a1 FROM pub.place p JOIN city.firm f ON p.code = f.code GROUP BY f.section"  # fmt: skip
THREE = "SELECT t.district AS d0, p.sex AS d1, COUNT(*) AS n, SUM(i.amount) AS a0 FROM ga.person p JOIN tax.payer t ON p.id = t.id JOIN ga.income i ON i.id = p.id WHERE i.year IN (2022, 2023) GROUP BY t.district, p.sex"  # fmt: skip
SIDES = "SELECT t.district AS d0, SUM(t.paid) AS a0, SUM(p.education) AS a1, SUM(i.amount) AS a2 FROM ga.person p JOIN tax.payer t ON p.id = t.id JOIN ga.income i ON i.id = p.id WHERE i.year = 2022 AND i.kind = 'wage' GROUP BY t.district"  # fmt: skip
HOUSES = f"SELECT p.region AS d0, COUNT(DISTINCT p.household) AS n {PEOPLE} GROUP BY p.region"
FEW = f"SELECT p.region AS d0, COUNT(*) AS n, SUM(t.paid) AS a0 {PEOPLE} WHERE p.birth_year < 1951 AND p.sex = '1' GROUP BY p.region"  # fmt: skip

QUESTIONS = {
    "two": TWO, "sums of both sides": BOTH, "variance": SPREAD, "conditions": CONDITIONS, "no groups": WHOLE, "counts": COUNTED,
    "anti": ANTI, "outer": OUTER, "a table in parts": PARTS, "three": THREE, "second unit": HOUSES,
}  # fmt: skip


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    with SealedJoined(tmp_path_factory.mktemp("joined")) as opened:
        yield opened


@pytest.fixture
def afresh(joined):
    joined.wire.clear()
    yield joined
    joined.use()


def same(one, other):
    """Say whether two releases have the same rows and marks; no statement here puts them in order."""
    return content(one) == content(other) and one.table.schema == other.table.schema


def content(release):
    pairs = zip(release.table.to_pylist(), release.marks.to_pylist(), strict=True)
    return sorted((repr((row, marks)) for row, marks in pairs))


def check(platform, sql):
    """Return the opened answer, which must be the plain one to the last bit."""
    plain, opened = platform.ask(sql), platform.open(platform.sealed(sql))
    assert plain.release.table.num_rows
    assert same(opened.release, plain.release)
    assert platform.under_way() == 0
    return opened


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_opened_is_the_plain_answer(joined, question):
    assert check(joined, QUESTIONS[question]).sealed.cells


@pytest.mark.parametrize("question", ["two", "sums of both sides", "counts", "a table in parts", "three", "outer"])  # fmt: skip
def test_without_a_key_holder_partners_seal_and_the_ticket_names_them(afresh, question):
    afresh.use(**{KEY_HOLDER: None})
    found = check(afresh, QUESTIONS[question])
    sealers = {name for name, call, _ in afresh.wire if call == "join_seal"}
    assert KEY_HOLDER not in sealers
    assert len(sealers) == (2 if question in ("sums of both sides", "outer") else 1)
    assert set(found.sealed.receipts) >= sealers


@pytest.mark.parametrize("question", ["two", "a table in parts", "three"])
def test_blinded_tokens_open_to_the_same(tmp_path, question):
    with SealedJoined(tmp_path, bundle("blinded")) as platform:
        check(platform, QUESTIONS[question])


def test_the_key_holder_alone_seals_where_there_is_one(afresh):
    afresh.sealed(BOTH)
    assert {name for name, call, _ in afresh.wire if call == "join_seal"} == {KEY_HOLDER}


# --- what is withheld -------------------------------------------------------------------------------------------------


def slots(platform, told):
    """Return every slot that the recipient's key opens, by cell."""
    words = SealedWords.from_bytes(base64.b64decode(told["sealed"]["ciphertexts"]), platform.key.public)  # fmt: skip
    return open_words(platform.key, words).reshape(told["sealed"]["cells"], -1)


def few_large():
    """Return rows where in one region few have paid much, and in the others one in two."""
    found, number = made_join.rows(), {}
    here = {row[0]: row[3] for row in found["person"]}
    paid = []
    for person, district, _ in found["payer"]:
        place = number[here.get(person)] = number.get(here.get(person), 0) + 1
        much = place <= 5 if here.get(person) == "990101" else place % 2
        paid.append((person, district, Decimal(1000 if much else 1)))
    return {**found, "payer": paid}


def test_the_magnitude_of_a_withheld_condition_is_sealed_as_zero(tmp_path):
    with SealedJoined(tmp_path, held=few_large()) as platform:
        told = platform.sealed(CONDITIONS)
        opened = platform.open(told)
        assert same(opened.release, platform.ask(CONDITIONS).release)
        marks = opened.release.marks["a0"].to_pylist()
        assert marks.count("threshold") == 1
        names = [word["name"] for word in told["sealed"]["words"]]
        hidden = marks.index("threshold")
        under, whole = (names.index(f"sum_{number}") for number in (0, 1))
        found = slots(platform, told)[told["sealed"]["rows"]]
        assert [int(word) != 0 for word in found[:, under]] == [place != hidden for place in range(3)]  # fmt: skip
        assert (found[:, whole] != 0).all()


def test_cells_below_the_threshold_are_neither_shown_nor_sealed(tmp_path):
    with SealedJoined(tmp_path, with_least(bundle(), 50)) as platform:
        told = platform.sealed(TWO)
        opened = platform.open(told)
        assert same(opened.release, platform.ask(TWO).release)
        assert opened.sealed.cells == opened.release.table.num_rows
        assert 0 < opened.sealed.cells < 3
        assert slots(platform, told).shape[0] == opened.sealed.cells
        assert {each.reason for each in opened.release.withheld} == {"threshold"}


@pytest.mark.parametrize("key_holder", [True, False])
def test_a_side_of_too_few_units_seals_nothing_of_the_block(afresh, key_holder):
    afresh.use(**({} if key_holder else {KEY_HOLDER: None}))
    told = afresh.sealed(FEW)
    opened = afresh.open(told)
    assert (opened.sealed.cells, opened.release.table.num_rows) == (0, 0)
    assert [(each.reason, each.cells) for each in opened.release.withheld] == [("threshold", 2)]
    whole = afresh.sealed(FEW.replace("p.region AS d0, ", "").replace(" GROUP BY p.region", ""))
    assert not slots(afresh, whole).any()
    found = afresh.open(whole)
    assert rows(type("Answer", (), {"release": found.release})) == [(None, None)]
    assert found.release.marks.to_pylist() == [{"n": "threshold", "a0": "threshold"}]
    assert afresh.under_way() == 0


def test_without_groups_too_few_matches_seal_zeros(tmp_path):
    with SealedJoined(tmp_path, with_least(bundle(), 160)) as platform:
        told = platform.sealed(WHOLE)
        assert not slots(platform, told).any()
        assert platform.open(told).release.table.to_pylist() == [{"n": None, "a0": None, "a1": None}]  # fmt: skip


def test_rules_on_magnitudes_are_not_judged_and_those_on_counts_are(tmp_path):
    """A plain release would be withheld for want of a cap; sealed, its recipient gets it."""
    told = bundle(dominance=((1, 75),), p_percent=10, homogeneity=True)
    with SealedJoined(tmp_path, told) as platform:
        with pytest.raises(MiddleplatformError) as caught:
            platform.ask(TWO)
        assert (caught.value.code, caught.value.rule) == ("P001", "R5")
        opened = platform.open(platform.sealed(TWO))
        assert set(opened.release.marks["a0"].to_pylist()) == {None}


# --- what the gateway sees --------------------------------------------------------------------------------------------


def numbers_of(held):
    """Return every payment, and its total in every region and overall, in the units of a word."""
    person = {row[0]: row[3] for row in held["person"]}
    paid = {row[0]: int(row[2] * 100) for row in held["payer"]}
    matched = {key: value for key, value in paid.items() if key in person}
    totals = [
        sum(value for key, value in matched.items() if person[key] == region)
        for region in {person[key] for key in matched}
    ]
    return [*paid.values(), *totals, sum(matched.values())]


def written(number):
    """Return a number as it may stand in bytes: two orders, decimal with and without the point."""
    text, size = str(number), (number.bit_length() + 7) // 8
    plain = f"{number // 100}.{number % 100:02}"
    return [number.to_bytes(size, "little"), number.to_bytes(size, "big"), text.encode(), plain.encode()]  # fmt: skip


@pytest.mark.parametrize("key_holder", [True, False])
def test_no_byte_that_the_gateway_has_shows_a_magnitude(tmp_path, key_holder):
    held = large_rows()
    with SealedJoined(tmp_path, held=held, key_holder=key_holder) as platform:
        opened = platform.open(platform.sealed(TWO))
        needles = [text for number in numbers_of(held) for text in written(number)]
        total = int(opened.release.table["a0"].to_pylist()[0] * 100)
        assert total in numbers_of(held)
        assert min(len(text) for text in needles) >= 7
        kept = [raw for _, _, raw in platform.wire]
        kept += [repr(entry.record.body).encode() for entry in platform.audit.entries()]
        assert not [text for text in needles if any(text in raw for raw in kept)]
        assert any(str(total).encode() in text for text in needles)


def test_of_a_plain_join_the_same_search_finds_magnitudes(tmp_path):
    held = large_rows()
    with SealedJoined(tmp_path, held=held) as platform:
        answer = json.dumps(shapes.answer(platform.ask(TWO))).encode()
        needles = [text for number in numbers_of(held) for text in written(number)]
        assert sum(text in answer for text in needles) == 3


def test_what_the_helper_tells_of_magnitudes_is_nothing_and_masked_words_are_even(afresh):
    seen = []
    for _ in range(12):
        afresh.wire.clear()
        afresh.sealed(SPREAD)
        heads = {name: ListHead.from_bytes(raw) for name, call, raw in afresh.wire if (call, raw[5:6]) == ("join_list", b"H")}  # fmt: skip
        for name, call, raw in afresh.wire:
            if (call, raw[5:6]) == ("join_rows", b"P"):
                seen.append(ListPart.from_bytes(raw, heads[name]).words)
            if (call, raw[5:6]) == ("join_sums", b"S"):
                _sums(afresh, raw)
    assert even_words(np.concatenate([each.reshape(-1) for each in seen])) > HONEST


def _sums(platform, raw):
    """Check that sums of masks have none on magnitudes, and some on counts where there are."""
    groups, wide = int(np.frombuffer(raw[8:12], "<u4")[0]), int(np.frombuffer(raw[12:14], "<u2")[0])
    words = GroupSums.from_bytes(raw, groups, wide).words
    plan = block_of(platform, SPREAD).join
    (side,) = [each for each in plan.sides if each.number == int.from_bytes(raw[6:8], "little")]
    places = [place for _, _, place in summed_columns(side)]
    assert places
    assert not words[:, places].any()
    assert wide == width(side)
    assert np.delete(words, places, axis=1).all()


def block_of(platform, sql):
    request = platform.request(sql)
    query, decision = platform.gateway._judge(request)
    (block,) = platform.gateway._made(request, query, decision).blocks
    return block


def test_the_log_names_the_key_the_ciphertexts_and_every_partys_receipt(afresh):
    answer = afresh.answer(TWO)
    body = list(afresh.audit.entries())[-1].record.body
    assert body["sealed_for"] == afresh.published.id
    assert body["sealed_digest"] == answer.sealed.digest()
    assert set(body["fragments"][0]["receipts"]) == {"ga", "tax", KEY_HOLDER}
    assert all(afresh.parties.last(name)[1]["sealed_for"] == afresh.published.id for name in ("ga", "tax", KEY_HOLDER))  # fmt: skip


def test_a_recipient_who_lacks_a_sealers_identity_opens_nothing(afresh):
    told = afresh.sealed(TWO)
    afresh.parties.know(key_holder=False)
    with pytest.raises(ProtocolError) as caught:
        afresh.open(told)
    assert caught.value.code == "X001"


# --- helpers that lie, or drop out ------------------------------------------------------------------------------------


def pieces(raw):
    return unpack(raw, 2)


def forged(platform, words, signer=KEY_HOLDER, party=KEY_HOLDER):
    """Return sealed words with a signature that somebody made over them for this question's last attempt."""
    fragment = platform.parties.nodes[KEY_HOLDER].taken
    layout = layout_of(block_of(platform, TWO).cell, made_join.CATALOG)
    subject = join_ticket_subject(fragment, layout, (KEY_HOLDER,))
    signature = sign_input(platform.parties.keys[signer], subject, KEY_HOLDER, [words])
    return pack([words.to_bytes(), replace(signature, party=party).to_bytes()])


def changed_words(change):
    def act(platform, raw):
        words = SealedWords.from_bytes(pieces(raw)[0], platform.key.public)
        return forged(platform, change(words))

    return act


def other_slots(words):
    return seal(np.zeros(words.count, np.int64), words.key, parties=words.parties)


def other_count(words):
    more = np.zeros(words.count + 1, np.uint64)
    return seal(more, words.key, parties=words.parties, slot_bytes=RESIDUE_BYTES)


def other_parties(words):
    none = np.zeros(words.count, np.uint64)
    return seal(none, words.key, parties=9, slot_bytes=RESIDUE_BYTES)


def spoiled(_platform, raw):
    words, signature = pieces(raw)
    return pack([words, signature[:-1] + bytes([signature[-1] ^ 1])])


def unsigned(_platform, raw):
    return pack([pieces(raw)[0]])


def signed_by(signer, party=KEY_HOLDER):
    def act(platform, raw):
        words = SealedWords.from_bytes(pieces(raw)[0], platform.key.public)
        return forged(platform, words, signer, party)

    return act


def stale(platform, _raw):
    """Return what the helper sealed and signed for the question before."""
    return platform.before


LIES = {
    "slots of eight bytes": changed_words(other_slots),
    "one slot more": changed_words(other_count),
    "for other parties": changed_words(other_parties),
    "a signature with another bit": spoiled,
    "no signature": unsigned,
    "nothing": lambda *_: b"",
    "no words at all": lambda *_: pack([b"", b""]),
    "signed by a department": signed_by("tax"),
    "signed in another's name": signed_by(KEY_HOLDER, "tax"),
    "words of another question": stale,
}


@pytest.fixture
def lying(afresh, monkeypatch):
    """Give the key holder's link, whose sealed words another function makes of the real ones."""
    afresh.answer(TWO)
    afresh.before = [raw for _, call, raw in afresh.wire if call == "join_seal"][-1]
    node = afresh.parties.nodes[KEY_HOLDER]
    checked = node.checked

    def taking(*asked):
        task = checked(*asked)
        node.taken = task.fragment
        return task

    monkeypatch.setattr(node, "checked", taking)

    def made(lie):
        async def act(real, key, raw):
            return lie(afresh, await real(key, raw))

        return {KEY_HOLDER: Changed(afresh.links[KEY_HOLDER], "join_seal", act)}

    return made


@pytest.mark.parametrize("lie", LIES)
def test_sealed_words_that_are_not_the_helpers_end_the_question(afresh, lying, lie):
    asked = refused_with(afresh, "X001", **lying(LIES[lie]))
    assert "join_seal" in asked
    assert "join_reveal" not in asked


def test_what_these_lies_are_made_with_is_taken_where_it_is_no_lie(afresh, lying):
    afresh.use(**lying(changed_words(lambda words: words)))
    assert afresh.open(afresh.sealed(TWO)).release.table.num_rows == 3


def test_other_words_well_signed_do_not_fit_the_receipt(afresh, lying):
    """The key's owner could sign them; what it has receipted and entered in its log are others."""
    none = changed_words(lambda words: seal(np.zeros(words.count, np.uint64), words.key, parties=2, slot_bytes=RESIDUE_BYTES))  # fmt: skip
    assert "join_reveal" in refused_with(afresh, "X001", **lying(none))


def refused_with(platform, code, **links):
    """Ask with other links: refused, nothing is released, nobody is asked for labels, nobody keeps a round."""
    platform.use(**links)
    platform.wire.clear()
    released = platform.events().count("released")
    with pytest.raises(MiddleplatformError) as caught:
        platform.answer(TWO)
    assert caught.value.code == code
    assert platform.events().count("released") == released
    assert platform.under_way() == 0
    return {call for _, call, _ in platform.wire}


def test_a_helper_that_tells_masks_of_magnitudes_is_not_listened_to(afresh):
    async def telling(real, key, side, raw):
        told = await real(key, side, raw)
        return told[:-8] + b"\x01" * 8

    asked = refused_with(afresh, "X001", **{KEY_HOLDER: Changed(afresh.links[KEY_HOLDER], "join_sums", telling)})  # fmt: skip
    assert "join_seal" not in asked


@pytest.mark.parametrize("party", [KEY_HOLDER, "tax"])
def test_a_receipt_for_something_else_ends_the_question(afresh, party):
    """Signed by the right party, for the right fragment; but not over what it sealed, or named."""
    parties = afresh.parties

    async def other(real, key, codes):
        current = parties.rounds[party]._rounds.content(key)
        raw, _ = await real(key, codes)
        return raw, parties.nodes[party].receipt(current.task, len(codes), "0" * 64)

    asked = refused_with(afresh, "X001", **{party: Changed(afresh.links[party], "join_reveal", other)})  # fmt: skip
    assert "join_reveal" in asked


def test_a_helper_that_drops_out_is_asked_again_with_other_keys(afresh):
    tried = []

    async def failing(real, key, raw):
        tried.append(ReleasedCells.from_bytes(raw))
        if len(tried) == 1:
            raise SourceError("S001", department=KEY_HOLDER)
        return await real(key, raw)

    afresh.use(**{KEY_HOLDER: Changed(afresh.links[KEY_HOLDER], "join_seal", failing)})
    opened = afresh.open(afresh.sealed(TWO))
    afresh.use()
    assert same(opened.release, afresh.ask(TWO).release)
    assert len(tried) == 2
    assert afresh.under_way() == 0


def test_a_helper_that_never_comes_back_ends_the_question(afresh):
    async def gone(*_):
        raise SourceError("S001", department=KEY_HOLDER)

    refused_with(afresh, "S001", **{KEY_HOLDER: Changed(afresh.links[KEY_HOLDER], "join_seal", gone)})  # fmt: skip


def test_slots_of_a_cell_are_those_of_the_words_that_are_read(joined):
    layout = block_of(joined, SPREAD).layout
    names = [(each.name, each.words) for each in join_layout(layout).measures]
    assert ("sum_0", 1) in names
    assert ("sq_0", 2) in names


def test_who_waits_for_seals_and_goes_away_leaves_no_round(afresh):
    begun = asyncio.Event()

    async def hanging(*_):
        begun.set()
        await asyncio.Event().wait()

    afresh.use(**{KEY_HOLDER: Changed(afresh.links[KEY_HOLDER], "join_seal", hanging)})

    async def leaving():
        task = asyncio.ensure_future(afresh.gateway.submit(afresh.request(TWO)))
        await begun.wait()
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(leaving())
    assert afresh.under_way() == 0
