"""A token is the same beside the data and at the node, and differs where key, domain or identifier does."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kernels import TokenKernel
from middleplatform.crypto.join_tokens import TEXT_BYTES_MAX, tokens
from middleplatform.errors import ProtocolError

KEY = bytes(range(32))


def beside_the_data(array, domain="person"):
    batch = pa.record_batch({"id": array})
    kernel = TokenKernel(KEY, domain, "id")
    made = pa.Table.from_batches(kernel(iter([batch])), kernel.result(batch.schema))
    return [bytes(16) if each is None else each for each in made.column("id").to_pylist()]


def at_the_node(array, domain="person", key=KEY):
    found = tokens(key, domain, array)
    assert (found.shape, found.dtype) == ((len(array), 16), np.uint8)
    return [row.tobytes() for row in found]


@given(
    st.lists(st.none() | st.text(max_size=60), max_size=20),
    st.integers(0, 5),
    st.text(min_size=1, max_size=20),
)
def test_texts_have_the_tokens_of_the_kernel(values, cut, domain):
    array = pa.array(values, pa.string()).slice(min(cut, len(values)))
    assert at_the_node(array, domain) == beside_the_data(array, domain)


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20), st.integers(0, 5))
def test_numbers_have_the_tokens_of_the_kernel(values, cut):
    array = pa.array(values, pa.int64()).slice(min(cut, len(values)))
    assert at_the_node(array) == beside_the_data(array)


def test_long_columns_have_the_tokens_of_the_kernel_whatever_their_chunks():
    people = pa.array([f"990101198{n:09}" for n in range(150_000)])
    mixed = pa.array([None if n % 7 == 0 else "x" * (n % 45) + str(n) for n in range(150_000)])
    for array in (people, mixed):
        chunks = pa.chunked_array([array.slice(0, 11), array.slice(11, 0), array.slice(11)])
        assert at_the_node(chunks) == at_the_node(array) == beside_the_data(array)


@pytest.mark.parametrize("length", [*range(50), TEXT_BYTES_MAX - 1, TEXT_BYTES_MAX])
def test_texts_of_one_length_have_the_tokens_of_the_kernel(length):
    texts = [chr(ord("!") + n) * max(0, length - 1) + "x" * min(1, length) for n in range(40)]
    for array in (pa.array(texts), pa.array(["?" * 7, *texts, "??"]).slice(1, 40), pa.array(texts[:1])):  # fmt: skip
        assert at_the_node(array) == beside_the_data(array)


def test_only_an_equal_identifier_of_an_equal_domain_under_an_equal_key_has_an_equal_token():
    texts = pa.array(["a", "a\0", "a\0\0", "", "\0", "A", "字", "1"])
    found = at_the_node(texts) + at_the_node(texts, "household") + at_the_node(texts, key=bytes(32))
    found += at_the_node(pa.array([1, -1], pa.int64()))
    assert len(set(found)) == len(found)


def test_a_missing_identifier_has_the_token_of_none():
    assert at_the_node(pa.array([None, "x"], pa.string()))[0] == bytes(16)
    assert at_the_node(pa.array([None, 0], pa.int64()))[0] == bytes(16)
    assert bytes(16) not in at_the_node(pa.array([0, -1], pa.int64()))


@pytest.mark.parametrize(
    ("array", "domain", "code"),
    [
        (pa.array([1.5]), "person", "X001"),
        (pa.array([1], pa.int32()), "person", "X001"),
        (pa.array(["x"], pa.large_string()), "person", "X001"),
        (pa.array(["x"]), "", "X001"),
        (pa.array(["x"]), "x" * 129, "X001"),
        (pa.array(["a", "字" * (TEXT_BYTES_MAX // 3 + 1)]), "person", "X004"),
    ],
)
def test_what_has_no_token_is_refused_without_naming_it(array, domain, code):
    with pytest.raises(ProtocolError) as refused:
        tokens(KEY, domain, array)
    assert refused.value.code == code
    assert "字" not in str(refused.value)


def test_the_longest_identifier_has_a_token():
    longest = pa.array(["x" * TEXT_BYTES_MAX, "x" * (TEXT_BYTES_MAX - 1)])
    assert at_the_node(longest) == beside_the_data(longest)


def test_bytes_under_a_missing_identifier_are_not_looked_at():
    hidden = b"y" * (TEXT_BYTES_MAX + 1)
    offsets = np.array([0, 1, 1 + len(hidden), 2 + len(hidden)], dtype=np.int32)
    buffers = [pa.py_buffer(each) for each in (b"\x05", offsets.tobytes(), b"a" + hidden + b"b")]
    array = pa.Array.from_buffers(pa.string(), 3, buffers)
    assert array.to_pylist() == ["a", None, "b"]
    assert at_the_node(array) == at_the_node(pa.array(["a", None, "b"]))
