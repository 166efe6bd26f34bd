"""The log itself: durable, exclusive, append-only, and clear when it cannot be."""

import sqlite3
from concurrent.futures import CancelledError, ThreadPoolExecutor, wait
from datetime import UTC, datetime

import pytest

from middleplatform.audit import log as log_module
from middleplatform.audit.checkpoint import open_checkpoint
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SHA256, check_consistency, check_inclusion
from middleplatform.audit.proof import check_receipt
from middleplatform.errors import AuditError, ConfigError, LimitError
from middleplatform.model.record import AuditRecord

BOTH = pytest.mark.parametrize("log", ["file", "shared"], indirect=True)
"""What a log promises does not depend on where it lies."""


def code(error) -> str:
    return error.value.code


@BOTH
def test_a_new_log_has_a_signed_checkpoint_of_nothing(log, signer):
    checkpoint = open_checkpoint(log.checkpoint(), [signer.key]).checkpoint
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (log.origin, 0, SHA256.empty())
    assert log.size == log.verify() == 0
    assert list(log.entries()) == []


@BOTH
def test_a_receipt_names_index_hash_checkpoint_and_proof(log, record):
    for number in range(9):
        receipt = log.append(record(number))
        assert receipt.index == number
        check_receipt(record(number), receipt, log.keys)
    assert log.entry(4).record == record(4)
    assert log.size == 9


def test_what_was_acknowledged_is_there_after_reopening(log_path, signer, clock, log, record):
    receipts = [log.append(record(number)) for number in range(5)]
    before = log.checkpoint()
    log.close()
    with AuditLog.open(log_path, signer, clock) as again:
        assert again.checkpoint() == before
        assert [entry.record for entry in again.entries()] == [
            record(number) for number in range(5)
        ]
        assert again.append(record(5)).index == 5
        old = open_checkpoint(receipts[2].checkpoint, again.keys).checkpoint
        new = open_checkpoint(again.checkpoint(), again.keys).checkpoint
        proof = again.consistency_proof(old.size, new.size)
        check_consistency(SHA256, old.size, old.root, new.size, new.root, proof)


@BOTH
def test_many_writers_get_distinct_places_and_share_commits(log, record):
    with ThreadPoolExecutor(32) as pool:
        receipts = list(pool.map(lambda number: log.append(record(number)), range(400)))
    assert sorted(receipt.index for receipt in receipts) == list(range(400))
    for number, receipt in enumerate(receipts):
        check_receipt(record(number), receipt, log.keys)
    assert len({receipt.checkpoint for receipt in receipts}) < 400
    assert log.verify() == 400


def test_every_proof_of_the_log_holds(log, record):
    futures = [log.submit(record(number)) for number in range(40)]
    wait(futures)
    roots = {}
    for size in range(41):
        for index in range(size):
            proof = log.inclusion_proof(index, size)
            if size not in roots:
                roots[size] = rebuild(log, size)
            check_inclusion(
                SHA256, index, size, SHA256.leaf(log.entry(index).leaf), proof, roots[size]
            )
    for old in (1, 7, 8, 31):
        check_consistency(SHA256, old, roots[old], 40, roots[40], log.consistency_proof(old, 40))
    assert log.consistency_proof(0, 40) == log.consistency_proof(40, 40) == ()


def rebuild(log, size):
    frontier = log_module.Frontier(SHA256)
    for entry in log.entries(0, size):
        frontier.append(SHA256.leaf(entry.leaf))
    return frontier.root()


@BOTH
@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (0, 3), (2, 3)])
def test_proofs_beyond_the_log_are_refused(log, record, index, size):
    log.append(record())
    with pytest.raises(AuditError) as caught:
        log.inclusion_proof(index, size)
    assert code(caught) == "A004"
    with pytest.raises(AuditError) as caught:
        log.consistency_proof(index, size + 9)
    assert code(caught) == "A004"


@BOTH
def test_entries_outside_the_log_are_refused(log, record):
    log.append(record())
    for index in (-1, 1, 2**40):
        with pytest.raises(AuditError) as caught:
            log.entry(index)
        assert code(caught) == "A004"
    assert [entry.index for entry in log.entries(-5, 99)] == [0]
    with pytest.raises(AuditError) as caught:
        log.checkpoint_at(7)
    assert code(caught) == "A004"


def test_a_log_is_open_once(log_path, signer, clock, log, record):
    with pytest.raises(AuditError) as caught:
        AuditLog.open(log_path, signer, clock)
    assert code(caught) == "A003"
    log.append(record())
    log.close()
    AuditLog.open(log_path, signer, clock).close()


def test_a_link_to_the_log_is_the_same_log(tmp_path, log_path, signer, clock, log):
    assert log.size == 0
    (tmp_path / "link.sqlite").symlink_to(log_path)
    with pytest.raises(AuditError) as caught:
        AuditLog.open(tmp_path / "link.sqlite", signer, clock)
    assert code(caught) == "A003"


@BOTH
def test_a_closed_log_takes_and_gives_nothing(log, record):
    log.append(record())
    log.close()
    log.close()
    for call in (lambda: log.submit(record()), lambda: log.entry(0), log.verify, log.checkpoint):
        with pytest.raises(AuditError) as caught:
            call()
        assert code(caught) == "A001"


def test_closing_writes_what_is_queued(log_path, signer, clock, log, record):
    futures = [log.submit(record(number)) for number in range(200)]
    log.close()
    assert sorted(future.result().index for future in futures) == list(range(200))
    with AuditLog.open(log_path, signer, clock) as again:
        assert again.size == 200


@BOTH
def test_a_record_without_one_spelling_never_reaches_the_queue(log):
    for body in ({}, {"at": "2026-01-01T00:00:00Z", "x": 1.5}):
        with pytest.raises(ValueError, match=r"RFC 3339|entry"):
            log.submit(AuditRecord("released", body))
    assert log.size == 0


@BOTH
def test_a_canceled_entry_is_not_written_and_the_rest_are(log, record):
    futures = [log.submit(record(number)) for number in range(300)]
    canceled = [future for future in futures if future.cancel()]
    done = []
    for future in futures:
        try:
            done.append(future.result().index)
        except CancelledError:
            continue
    assert sorted(done) == list(range(300 - len(canceled)))
    assert log.verify() == len(done)


@BOTH
def test_a_full_queue_says_so(log, record):
    log._writer._queue.maxsize = 1
    refused = []
    for number in range(2000):
        try:
            log.submit(record(number))
        except LimitError as error:
            refused.append(error.code)
    assert set(refused) == {"L001"}
    log.close()


def test_the_database_refuses_to_change_or_delete(log_path, log, record):
    log.append(record(0))
    statements = [
        "UPDATE entries SET leaf = x'00'", "DELETE FROM entries", "REPLACE INTO entries VALUES (0, x'00')",
        "UPDATE nodes SET hash = zeroblob(32)", "DELETE FROM nodes", "REPLACE INTO nodes VALUES (0, zeroblob(32))",
        "UPDATE checkpoints SET note = ''", "DELETE FROM checkpoints", "REPLACE INTO checkpoints VALUES (1, '')",
        "UPDATE identity SET origin = ''", "DELETE FROM identity", "REPLACE INTO identity VALUES (1, '', '')",
        "UPDATE cosignatures SET line = ''",
    ]  # fmt: skip
    other = sqlite3.connect(log_path, isolation_level=None)
    try:
        other.execute("INSERT INTO cosignatures VALUES (1, 'x')")
        for statement in [*statements, "DELETE FROM cosignatures"]:
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                other.execute(statement)
    finally:
        other.close()
    assert log.verify() == 1


def test_the_log_has_no_call_that_deletes_or_changes():
    forbidden = (
        "delete",
        "remove",
        "drop",
        "purge",
        "truncate",
        "update",
        "clear",
        "reset",
        "rewrite",
    )
    names = [name for name in dir(AuditLog) if not name.startswith("__")]
    assert not [name for name in names if any(word in name for word in forbidden)]


def test_only_the_owner_reads_the_files_of_the_log(log_path, log, record):
    log.append(record())
    for path in log_path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_retention_names_what_is_past_it_and_keeps_it(log_path, signer, clock, log, record):
    clock.moment = datetime(2028, 2, 29, 12, tzinfo=UTC)
    for at in (
        "2024-12-31T00:00:00Z",
        "2025-02-28T11:59:59Z",
        "2025-02-28T12:00:00Z",
        "2025-01-01T00:00:00Z",
    ):
        log.append(record(at=at))
    report = log.retention()
    assert (report.years, report.before) == (3, datetime(2025, 2, 28, 12, tzinfo=UTC))
    assert report.past == (range(2), range(3, 4))
    assert log.size == 4
    clock.moment = datetime(2026, 6, 1, tzinfo=UTC)
    assert log.retention().past == ()
    log.close()
    with AuditLog.open(log_path, signer, clock, retention_years=5) as longer:
        clock.moment = datetime(2028, 6, 1, tzinfo=UTC)
        assert longer.retention().past == ()


def test_retention_below_three_years_is_refused(log_path, signer, clock):
    with pytest.raises(ConfigError) as caught:
        AuditLog.open(log_path, signer, clock, retention_years=2)
    assert code(caught) == "C003"


def test_a_retired_key_still_vouches_for_the_past(
    tmp_path, log_path, signer, clock, log, record, make_rng
):
    receipt = log.append(record(0))
    log.close()
    fresh = CheckpointSigner.create(tmp_path / "new.key", signer.name, make_rng("new"))
    with pytest.raises(AuditError, match="not signed by the log"):
        AuditLog.open(log_path, fresh, clock)
    with AuditLog.open(log_path, fresh, clock, retired_keys=[signer.key]) as rotated:
        rotated.verify()
        later = rotated.append(record(1))
        check_receipt(record(1), later, [fresh.key])
        check_receipt(record(0), receipt, rotated.keys)
        rotated.verify(against=receipt.checkpoint)


def test_another_logs_file_and_foreign_files_are_refused(tmp_path, log_path, clock, log, make_rng):
    log.close()
    other = CheckpointSigner.create(tmp_path / "other.key", "other.example", make_rng("other"))
    with pytest.raises(AuditError, match="another log"):
        AuditLog.open(log_path, other, clock)
    (tmp_path / "text").write_text("not a database, but long enough to look at" * 10)
    sqlite3.connect(tmp_path / "foreign").execute("CREATE TABLE t (x)").connection.close()
    for name in ("text", "foreign"):
        with pytest.raises(AuditError) as caught:
            AuditLog.open(tmp_path / name, other, clock)
        assert code(caught) == "A002", name


def test_a_place_that_cannot_be_written_is_refused(tmp_path, signer, clock):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "log", tmp_path / "folder"):
        with pytest.raises(AuditError) as caught:
            AuditLog.open(path, signer, clock)
        assert code(caught) == "A001"


def test_a_log_whose_file_was_taken_away_acknowledges_nothing(log_path, log, record):
    log.append(record(0))
    log_path.rename(log_path.with_name("gone"))
    for _ in range(2):
        with pytest.raises(AuditError) as caught:
            log.append(record(1))
        assert code(caught) == "A001"
    assert not log_path.exists()
    log_path.with_name("gone").rename(log_path)
    assert log.append(record(1)).index == 1
    assert log.verify() == 2


def test_a_log_that_lost_acknowledged_entries_never_takes_another(
    tmp_path, log_path, signer, clock, log, record
):
    log.append(record(0))
    with AuditLog.open(tmp_path / "older.sqlite", signer, clock):
        pass
    (tmp_path / "older.sqlite").replace(log_path)
    with pytest.raises(AuditError) as caught:
        log.append(record(1))
    assert code(caught) == "A001"
    for suffix in ("-wal", "-shm"):
        log_path.with_name(log_path.name + suffix).unlink(missing_ok=True)
    for _ in range(2):
        with pytest.raises(AuditError) as caught:
            log.append(record(1))
        assert code(caught) == "A002"


@BOTH
def test_an_export_that_cannot_be_written_leaves_what_was_there(tmp_path, log, record):
    log.append(record())
    with pytest.raises(ConfigError) as caught:
        log.export(tmp_path / "nowhere" / "export.jsonl")
    assert code(caught) == "C011"
    assert log.export(tmp_path / "export.jsonl") == 1
    assert (tmp_path / "export.jsonl").stat().st_mode & 0o077 == 0


def test_every_commit_is_synced_to_disk(log):
    run = log._writer._store._connection.execute
    assert run("PRAGMA journal_mode").fetchone() == ("wal",)
    assert run("PRAGMA synchronous").fetchone() == (
        2,
    )  # FULL: the write-ahead log is fsynced at each commit


@BOTH
def test_a_fault_of_our_own_reaches_the_waiter_and_leaves_the_log_usable(log, record):
    log.append(record(0))
    signer, log._writer._signer = log._writer._signer, None
    with pytest.raises(AuditError) as caught:
        log.append(record(1))
    assert code(caught) == "A001"
    log._writer._signer = signer
    assert log.append(record(2)).index == 1
    assert log.verify() == 2


@BOTH
def test_a_full_group_is_split_and_loses_nothing(log, record):
    futures = [log.submit(record(number)) for number in range(3000)]
    assert sorted(future.result().index for future in futures) == list(range(3000))
    assert log.verify() == 3000
