"""A node seals what its own bundle lets leave sealed, under a key whose proof it has checked itself."""

from dataclasses import replace

import made_platform
import made_world as made
import numpy as np
import pyarrow as pa
import pytest

from middleplatform.crypto.sealed_layout import decode_words, encode_words, sealed_layout
from middleplatform.crypto.sealed_sum import SealedWords, open_words
from middleplatform.errors import MiddleplatformError
from middleplatform.node.sealed_keys import KnownKeys
from middleplatform.wire.frame import pack, unpack
from middleplatform.wire.tables import digest_of, sealed_digest
from tests.fakes.sealed_world import bundle, opening_key

SQL = "SELECT region AS d0, COUNT(*) AS a0, AVG(education) AS a1 FROM ga.person GROUP BY 1"


def document(key, proof=None):
    return pack([key.public.to_bytes(), (proof or key.prove()).to_bytes()])


@pytest.fixture(scope="module")
def sealing(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    with made_platform.Platform(folder, bundle(), made_platform.complete_rows()) as opened:
        opened.nodes["ga"].take_key(document(opening_key()))
        yield opened


def code(call):
    with pytest.raises(MiddleplatformError) as caught:
        call()
    return caught.value.code


def asked(platform, sql=SQL, **changes):
    values = {"sealed_for": opening_key().public.key_id, **changes}
    fragment = platform.fragment(sql, **values)
    return platform.nodes["ga"].answer(*platform.signed(fragment))


def test_labels_and_marks_leave_in_the_clear_and_words_as_ciphertexts(sealing):
    plain = sealing.nodes["ga"].answer(*sealing.signed(sealing.fragment(SQL)))
    found = asked(sealing)
    assert found.cells.column_names == ["d0", "ml", "m0", "m1"]
    assert found.cells["d0"].equals(plain.cells["d0"])
    raw, _ = unpack(found.sealed, 2)
    words = SealedWords.from_bytes(raw, opening_key().public)
    opened = open_words(opening_key(), words).reshape(found.cells.num_rows, -1)
    assert opened[:, 0].tolist() == [int(each) for each in plain.cells["rows_0"].to_pylist()]
    assert found.result_digest == sealed_digest(digest_of(found.payload), digest_of(found.sealed))


def test_every_answer_is_sealed_afresh(sealing):
    assert asked(sealing).sealed != asked(sealing).sealed


@pytest.mark.parametrize("key_id", ["0" * 64, "not a key"])
def test_a_fragment_that_names_an_unknown_key_is_refused(sealing, key_id):
    assert code(lambda: asked(sealing, sealed_for=key_id)) == "X001"


def test_the_nodes_own_bundle_says_what_may_leave_and_how(tmp_path):
    rules = made.with_column(bundle(), "ga.person", "education", release="sealed")
    with made_platform.Platform(tmp_path, rules, made_platform.complete_rows()) as platform:
        node = platform.nodes["ga"]
        node.take_key(document(opening_key()))
        assert asked(platform).sealed
        assert code(lambda: asked(platform, sealed_for="")) == "X003"
        node.bundle = made.with_column(bundle(), "ga.person", "education", release="plain")
        assert code(lambda: asked(platform)) == "X003"


def test_a_sealed_sum_of_several_departments_whose_data_are_perturbed_is_refused(tmp_path):
    rules = made_platform.with_parameters(bundle(), method="perturb")
    text = 'SELECT COUNT(*) AS "a0" FROM "city"."firm" AS "t0"'
    with made_platform.Platform(tmp_path, rules, made_platform.complete_rows()) as platform:
        for node in platform.nodes.values():
            node.take_key(document(opening_key()))
        hello, plain = platform.rounds["c1"].hello, platform.fragment(text, "c1", "secure_sum")
        sealed = replace(plain, query_id="sealed", sealed_for=opening_key().public.key_id)
        assert code(lambda: hello(*platform.signed(sealed))) == "X003"
        assert hello(*platform.signed(plain))


def test_a_key_is_taken_with_its_own_proof_only():
    keys, key, other = KnownKeys(), opening_key(), opening_key("li", 1)
    assert code(lambda: keys.take(document(key, other.prove()))) == "X007"
    for raw in (b"", pack([key.public.to_bytes()]), pack([b"x", b"y"]), pack([b"", b"", b""])):
        assert code(lambda raw=raw: keys.take(raw)) == "X001"
    assert code(lambda: keys.find(key.public.key_id)) == "X001"
    keys.take(document(key))
    keys.take(document(key))
    assert keys.find(key.public.key_id) == key.public


def test_two_keys_with_a_common_factor_are_not_both_taken():
    keys, key = KnownKeys(), opening_key()
    keys.take(document(key))
    same = replace(key.public, holder="wang")
    assert code(lambda: keys.take(pack([same.to_bytes(), key.prove().to_bytes()]))) == "X007"


def test_words_of_any_sign_and_size_come_back_exactly():
    layout = sealed_layout(made.planned("SELECT SUM(amount) AS s, VAR_POP(amount) AS v FROM ga.income").blocks[0].layout)  # fmt: skip
    limits = [0, 1, -1, 10**17, -(10**17)]
    columns = {
        each.name: pa.chunked_array([pa.array(limits, pa.int64())])
        if each.words == 1
        else pa.chunked_array([pa.array([value * 10**6 for value in limits], pa.decimal128(38, 0)).cast(pa.decimal128(38, each.scale), safe=False)])
        for each in layout.measures
    }  # fmt: skip
    words = encode_words(layout, columns, 3)
    assert words.dtype == np.int64
    back = decode_words(layout, words * 3)
    for each in layout.measures:
        expected = [3 * value for value in columns[each.name].to_pylist()]
        assert back[each.name].to_pylist() == expected
