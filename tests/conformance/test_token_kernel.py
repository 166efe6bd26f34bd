"""A token is what the protocol says, whatever the batch looks like and wherever the kernel runs."""

import hashlib
import pickle

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given
from hypothesis import strategies as st

from connectors.duckdb import DuckDBConnector
from connectors.kernels import TEXT_BYTES_MAX, TOKEN, TokenKernel
from connectors.memory import MemoryConnector
from connectors.spi import ConnectorError, ErrorKind, ExecutionLimits, Statement

KEY = bytes(range(32))
NUMBERS = ["12c5f8c770225a34e23efe198346aade", "bcf4e375769def50953ffc2fbc3afd81"]
TEXTS = ["7153f047e93bc663be6651bd8b5a5c56", "a4042eee63b83bd222b9c6035cbecd03"]


def expected(value, key=KEY, domain="person"):
    """Return a token by the description of the protocol, one value at a time."""
    digest = hashlib.sha256(b"middleplatform/join-token/1/" + domain.encode()).digest()

    def encrypted(block):
        return Cipher(AES(key), ECB()).encryptor().update(block)

    if value is None:
        return None
    if isinstance(value, int):
        return encrypted(b"\x01" + digest[:7] + value.to_bytes(8, "big", signed=True))
    text = value.encode()
    message = b"\x02" + digest[:5] + len(text).to_bytes(2, "big") + text
    message += bytes(-len(message) % 16)
    chain = bytes(16)
    for start in range(0, len(message), 16):
        block = message[start : start + 16]
        chain = encrypted(bytes(a ^ b for a, b in zip(chain, block, strict=True)))
    return chain


def tokens(array, key=KEY, domain="person"):
    kernel = TokenKernel(key, domain, "id")
    batch = pa.record_batch({"n": pa.array(range(len(array)), pa.int64()), "id": array})
    made = pa.Table.from_batches(kernel(iter([batch])), kernel.result(batch.schema))
    assert made.column("n").to_pylist() == list(range(len(array)))
    return made.column("id").to_pylist()


@given(st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20), st.integers(0, 5))
def test_numbers_have_the_token_of_the_description(values, cut):
    array = pa.array(values, pa.int64()).slice(min(cut, len(values)))
    assert tokens(array) == [expected(value) for value in array.to_pylist()]


@given(st.lists(st.none() | st.text(max_size=60), max_size=20), st.integers(0, 5))
def test_texts_have_the_token_of_the_description(values, cut):
    array = pa.array(values, pa.string()).slice(min(cut, len(values)))
    assert tokens(array) == [expected(value) for value in array.to_pylist()]


def test_tokens_of_the_first_version_never_change():
    assert [token.hex() for token in tokens(pa.array([0, 42], pa.int64()))] == NUMBERS
    assert [token.hex() for token in tokens(pa.array(["990101198001010011", ""]))] == TEXTS


def test_key_domain_and_kind_each_change_the_token():
    one = tokens(pa.array(["7"]))
    assert tokens(pa.array(["7"]), key=bytes(32)) != one
    assert tokens(pa.array(["7"]), domain="household") != one
    assert tokens(pa.array([7], pa.int64())) != one
    assert len({*tokens(pa.array(["a", "a\0", "a\0\0", "", "\0"]))}) == 5


def test_hundred_thousand_identity_numbers_have_as_many_tokens():
    names = pa.array([f"990101198{n:09}" for n in range(100_000)])
    assert len(set(tokens(names))) == 100_000


@pytest.mark.parametrize(
    "array",
    [pa.array([1.5]), pa.array([1], pa.int32()), pa.array(["字" * (TEXT_BYTES_MAX // 3 + 1)])],
)
def test_what_has_no_token_is_refused_without_naming_it(array):
    with pytest.raises(ValueError, match=r"^(identifiers of type|an identifier of more than)"):
        tokens(array)


def test_key_of_another_length_is_refused_and_no_key_is_shown():
    with pytest.raises(ValueError, match="32 bytes"):
        TokenKernel(bytes(16), "person", "id")
    assert "00" not in repr(TokenKernel(bytes(32), "person", "id"))


def test_kernel_survives_being_sent():
    kernel = TokenKernel(KEY, "person", "id")
    assert pickle.loads(pickle.dumps(kernel)) == kernel


ROWS = {
    "t": pa.table(
        {
            "id": pa.array(["990101198001010011", None, "公民", "", "990101198001010011"]),
            "n": pa.array([1, 2, 3, None, 5], pa.int64()),
        }
    )
}
KERNEL = TokenKernel(KEY, "person", "id")
LIMITS = ExecutionLimits(30, 1000, 16)
TREE = {
    "rows": {
        "node": "Rows", "first": {"node": "Table", "alias": "t0", "dataset": "x.t"}, "joins": [], "where": None,
    },
    "columns": [
        {"node": "Dimension", "name": name, "expression": {"node": "Field", "relation": "t0", "name": name}}
        for name in ("id", "n")
    ],
}  # fmt: skip


def statement(sql='SELECT "id", "n" FROM "t"'):
    return Statement("rows", sql, TREE, ROWS["t"].schema)


def by_number(table):
    return {row["n"]: row["id"] for row in table.to_pylist()}


def test_every_connector_gives_the_same_tokens(stored):
    wanted = {row["n"]: expected(row["id"]) for row in ROWS["t"].to_pylist()}
    result = KERNEL.result(ROWS["t"].schema)
    assert result.field("id").type == TOKEN
    for connector in (DuckDBConnector(stored(ROWS)), MemoryConnector(ROWS)):
        assert by_number(connector.scan(statement(), KERNEL, result, LIMITS)) == wanted
        connector.close()


def test_kernel_that_fails_is_failed_and_its_words_stay(stored):
    connector = DuckDBConnector(stored({"t": pa.table({"id": pa.array([1.5]), "n": [1]})}))
    rows = pa.schema([("id", pa.float64()), ("n", pa.int64())])
    with pytest.raises(ConnectorError) as caught:
        connector.scan(
            Statement("rows", 'SELECT "id", "n" FROM "t"', TREE, rows),
            KERNEL,
            KERNEL.result(rows),
            LIMITS,
        )
    assert (caught.value.kind, str(caught.value)) == (ErrorKind.FAILED, "failed")
    connector.close()
