"""Reading a log beside the process that writes it: the same answers, and never a write."""

import sqlite3

import pytest

from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SM3
from middleplatform.audit.proof import check_receipt
from middleplatform.audit.reader import ReadOnlyLog
from middleplatform.audit.search import ReleaseQuery
from middleplatform.errors import AuditError, ConfigError
from middleplatform.model.record import Receipt


@pytest.fixture
def read(log_path, signer, clock):
    def opened(path=log_path, keys=(signer.key,), **more):
        return ReadOnlyLog.open(path, keys, clock, **more)

    return opened


def code(error):
    return error.value.code


def test_a_reader_says_what_the_writer_says(log, record, read, tmp_path):
    for number in range(7):
        log.append(record(number))
    with read() as reader:
        assert (reader.size, reader.origin, reader.keys) == (log.size, log.origin, log.keys)
        assert reader.checkpoint() == log.checkpoint()
        assert list(reader.entries()) == list(log.entries())
        assert reader.entry(3) == log.entry(3)
        assert reader.inclusion_proof(3, 7) == log.inclusion_proof(3, 7)
        assert reader.consistency_proof(3, 7) == log.consistency_proof(3, 7)
        query = ReleaseQuery(dataset="ga.population")
        assert list(reader.releases(query)) == list(log.releases(query))
        assert reader.retention() == log.retention()
        assert reader.verify(log.checkpoint()) == 7
        for name, each in (("a", log), ("b", reader)):
            assert each.export(tmp_path / name) == 7
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_reader_sees_the_log_as_it_was_when_it_opened_and_keeps_nobody_out(log, record, read):
    log.append(record(0))
    with read() as early:
        for number in range(1, 50):
            log.append(record(number))
        assert early.size == early.verify() == len(list(early.entries())) == 1
        with pytest.raises(AuditError) as caught:
            early.entry(1)
        assert code(caught) == "A004"
        with read() as late:
            assert late.size == 50
            leaf = late.entry(9)
            proof = tuple(part.hex() for part in late.inclusion_proof(9, 50))
            found = Receipt(9, late.profile.leaf(leaf.leaf).hex(), late.checkpoint(), proof)
            check_receipt(record(9), found, late.keys)
    assert log.append(record(50)).index == 50


def test_a_closed_log_and_a_reader_without_a_writer(log, record, read):
    log.append(record(0))
    log.close()
    with read() as reader:
        assert reader.verify() == 1
    reader.close()
    for call in (lambda: reader.entry(0), reader.verify, reader.checkpoint):
        with pytest.raises(AuditError) as caught:
            call()
        assert code(caught) == "A001"


def test_a_reader_changes_no_byte_and_can_write_none(log, record, read, log_path):
    log.append(record(0))
    log.close()
    before = log_path.read_bytes()
    with read() as reader:
        for write in (
            lambda store: store.add_cosignature(0, "x"),
            lambda store: store._connection.execute("DROP TABLE entries"),
        ):
            with pytest.raises(AuditError) as caught, reader._snapshot() as store:
                write(store)
            assert "readonly" in caught.value.detail
        reader.verify()
    assert log_path.read_bytes() == before


def test_a_log_that_does_not_verify_is_not_read(log, record, read, log_path):
    for number in range(5):
        log.append(record(number))
    log.close()
    data = log_path.read_bytes()
    assert b'"lin"' in data
    log_path.write_bytes(data.replace(b'"lin"', b'"wei"', 1))
    with pytest.raises(AuditError, match="altered") as caught:
        read()
    assert code(caught) == "A002"


def test_only_the_logs_own_keys_vouch_for_it(log, record, read, make_rng, tmp_path):
    log.append(record(0))
    same_name = CheckpointSigner.create(tmp_path / "k", log.origin, make_rng("other"))
    other_name = CheckpointSigner.create(tmp_path / "l", "other.example", make_rng("other"))
    for signer in (same_name, other_name):
        with pytest.raises(AuditError) as caught:
            read(keys=(signer.key,))
        assert code(caught) == "A002"
    with read(keys=(same_name.key, *log.keys)) as reader:
        assert reader.size == 1


def test_what_is_no_log_is_refused_and_never_begun(tmp_path, read):
    with pytest.raises(AuditError) as caught:
        read(tmp_path / "none.sqlite")
    assert code(caught) == "A001"
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "text").write_text("not a database, but long enough to look at" * 10)
    sqlite3.connect(tmp_path / "foreign").execute("CREATE TABLE t (x)").connection.close()
    sqlite3.connect(tmp_path / "empty").close()
    for name in ("text", "foreign", "empty"):
        with pytest.raises(AuditError) as caught:
            read(tmp_path / name)
        assert code(caught) == "A002", name


def test_the_hash_function_is_read_from_the_log(tmp_path, signer, clock, record, read):
    with AuditLog.open(tmp_path / "sm3.sqlite", signer, clock, profile=SM3) as log:
        log.append(record(0))
        with read(tmp_path / "sm3.sqlite") as reader:
            assert reader.profile is SM3
            assert reader.verify() == 1


def test_retention_below_three_years_is_refused(log, read):
    assert log.size == 0
    with pytest.raises(ConfigError) as caught:
        read(retention_years=2)
    assert code(caught) == "C003"


def test_a_reader_offers_no_way_to_append(read, log):
    with read() as reader:
        assert not hasattr(reader, "append")
        assert not hasattr(reader, "submit")
        assert not hasattr(reader, "add_cosignature")
    assert log.size == 0
