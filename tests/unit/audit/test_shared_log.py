"""A log in a database: several append in turn, whoever lost his place does not, and nothing is changed unseen."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from postgres_server import ADMIN

from middleplatform.audit import verify
from middleplatform.audit.checkpoint import open_checkpoint
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.audit.merkle import SHA256, SM3, Frontier, check_consistency, check_inclusion
from middleplatform.audit.proof import check_receipt
from middleplatform.audit.search import ReleaseQuery
from middleplatform.audit.shared_log import begun, read_shared
from middleplatform.audit.shared_store import DatabaseError
from middleplatform.errors import AuditError, ConfigError

SIZE = 7
COLUMNS = {
    "identity": "hash", "entries": "leaf", "nodes": "hash", "checkpoints": "note", "cosignatures": "line",
}  # fmt: skip


class Place:
    """A place among the gateways that can be lost."""

    lost = False

    def fence(self, connection):
        assert connection.in_transaction()
        if self.lost:
            raise AuditError("A005")


@pytest.fixture
def admin(postgres):
    """Run statements past every trigger and permission."""

    def run(*statements):
        postgres.run("SET session_replication_role = replica", database="platform", user=ADMIN)
        for each in statements:
            postgres.run(each, database="platform", user=ADMIN)

    return run


def code(caught):
    return caught.value.code


def test_two_append_in_turn_to_one_log(share, record, signer):
    with share("one") as one, share("two") as two, ThreadPoolExecutor(16) as pool:
        work = [((one, two)[number % 2], number) for number in range(300)]
        receipts = list(pool.map(lambda each: each[0].append(record(each[1])), work))
        assert sorted(each.index for each in receipts) == list(range(300))
        for (_, number), receipt in zip(work, receipts, strict=True):
            check_receipt(record(number), receipt, [signer.key])
        assert one.verify() == two.verify() == one.size == two.size == 300
        assert one.checkpoint() == two.checkpoint()


def test_who_appends_says_which_of_them_it_is(share, signer):
    with share("one") as one:
        assert (one.origin, one.claimant) == (signer.name, f"{signer.name}#one")


def test_proofs_are_those_of_the_log_whoever_appended(share, record):
    with share("one") as one, share("two") as two:
        for number in range(9):
            (one, two)[number % 2].append(record(number))
        roots = {}
        frontier = Frontier(SHA256)
        for entry in one.entries():
            frontier.append(SHA256.leaf(entry.leaf))
            roots[frontier.size] = frontier.root()
        for size in range(1, 10):
            leaf = SHA256.leaf(two.entry(size - 1).leaf)
            check_inclusion(SHA256, size - 1, 9, leaf, two.inclusion_proof(size - 1, 9), roots[9])
            proof = two.consistency_proof(size, 9)
            check_consistency(SHA256, size, roots[size], 9, roots[9], proof)


def test_who_lost_his_place_appends_nothing_and_the_others_go_on(share, record):
    place = Place()
    with share("one", place.fence) as one, share("two") as two:
        one.append(record(0))
        place.lost = True
        for _ in range(2):
            with pytest.raises(AuditError) as caught:
                one.append(record(1))
            assert code(caught) == "A005"
        assert two.append(record(2)).index == 1
        assert one.size == two.verify() == 2


def test_a_commit_whose_reply_was_lost_is_acknowledged_once_and_for_all(share, record):
    with share("one") as one, share("two") as two:
        one.append(record(0))
        store = one._writer._store
        whole = store.commit

        def commit():
            whole()
            raise DatabaseError("the line went dead")

        store.commit = commit
        receipt = one.append(record(1))
        check_receipt(record(1), receipt, one.keys)
        two.append(record(2))
        one.append(record(3))
        assert [each.record for each in two.entries()] == [record(number) for number in range(4)]


def test_a_commit_that_did_not_happen_is_not_acknowledged(share, record):
    with share("one") as one:
        one.append(record(0))

        def commit():
            raise DatabaseError("the line went dead")

        one._writer._store.commit = commit
        with pytest.raises(AuditError) as caught:
            one.append(record(1))
        assert code(caught) == "A001"
        assert one.append(record(2)).index == 1


def test_a_server_that_ended_every_connection_is_asked_again(share, record, postgres):
    ours = "FROM pg_stat_activity WHERE usename = 'platform'"
    with share("one") as one:
        one.append(record(0))
        postgres.run(f"SELECT pg_terminate_backend(pid) {ours}")
        while postgres.rows(f"SELECT count(*) {ours}")[0][0]:
            pass
        assert one.append(record(1)).index == 1
        assert one.verify() == 2


def test_a_cosignature_is_kept_once_by_either(share, record, make_witness_signer):
    witness = make_witness_signer("tax")
    with share("one") as one, share("two") as two:
        one.append(record(0))
        body = open_checkpoint(one.checkpoint(), one.keys).checkpoint.body()
        line = witness.cosign(body, 1)
        for each in (one, two, one):
            each.add_cosignature(1, line, witness.key)
        assert two.checkpoint().count(line) == 1


def test_the_database_refuses_its_own_role_to_change_or_delete(share, record, postgres):
    with share("one") as one:
        one.append(record(0))
        for table, column in COLUMNS.items():
            for statement in (
                f"DELETE FROM audit_log.{table}", f"TRUNCATE audit_log.{table}",
                f"UPDATE audit_log.{table} SET {column} = {column}",
            ):  # fmt: skip
                with pytest.raises(Exception, match="permission denied"):
                    postgres.run(statement, database="platform", user="platform")
        assert one.verify() == 1


def test_nor_does_it_let_the_administrator_whatever_the_session_says(share, record, postgres):
    with share("one") as one:
        one.append(record(0))
        for statement in (
            "DELETE FROM audit_log.entries",
            "UPDATE audit_log.nodes SET position = 9",
            "TRUNCATE audit_log.checkpoints",
        ):
            for role in ("origin", "replica"):
                with pytest.raises(Exception, match="append-only"):
                    postgres.run(
                        f"SET session_replication_role = {role}; {statement}",
                        database="platform",
                        user=ADMIN,
                    )
        assert one.verify() == 1


UNGUARDED = tuple(
    f"ALTER TABLE audit_log.{table} DISABLE TRIGGER ALL"
    for table in ("entries", "nodes", "checkpoints")
)

GUARDED = tuple(
    f"ALTER TABLE audit_log.{table} ENABLE ALWAYS TRIGGER {table}_{kind}"
    for table in ("entries", "nodes", "checkpoints")
    for kind in ("change", "truncate")
)


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE audit_log.entries SET leaf = convert_to(replace(convert_from(leaf, 'UTF8'), 'lin', 'wan'), 'UTF8') WHERE position = 5", "entry 5 was altered"),
        ("DELETE FROM audit_log.entries WHERE position = 5", "entry 5 was dropped"),
        ("DELETE FROM audit_log.entries WHERE position >= 5", "entries 5 to 6 are missing"),
        ("INSERT INTO audit_log.entries SELECT 7, leaf FROM audit_log.entries WHERE position = 6", "entry 7 has no tree node"),
        ("UPDATE audit_log.nodes SET hash = decode(repeat('00', 32), 'hex') WHERE position = 8", "entry 5 was altered"),
        ("DELETE FROM audit_log.nodes WHERE position = 8", "entry 5 has no tree node"),
        ("UPDATE audit_log.checkpoints SET note = replace(note, E'\\n7\\n', E'\\n8\\n')", "checkpoint's signature"),
        ("DELETE FROM audit_log.checkpoints", "no checkpoint"),
        ("DELETE FROM audit_log.checkpoints WHERE size = 7", "entry 6 is in no checkpoint"),
        ("SELECT 1", "triggers were altered"),
    ],
)  # fmt: skip
def test_a_tampered_log_does_not_open_and_says_what_breaks(share, record, admin, statement, found):
    with share("one") as one:
        for number in range(SIZE):
            one.append(record(number))
    admin(*UNGUARDED, statement)
    with pytest.raises(AuditError, match=found) as caught:
        share("two")
    assert code(caught) == "A002"


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TRIGGER entries_change ON audit_log.entries",
        "ALTER TABLE audit_log.entries ENABLE TRIGGER entries_change",
        "CREATE OR REPLACE FUNCTION audit_log.refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER more BEFORE INSERT ON audit_log.entries FOR EACH ROW EXECUTE FUNCTION audit_log.refuse()",
    ],
)
def test_altered_guards_are_found(share, admin, statement):
    share("one").close()
    admin(statement)
    with pytest.raises(AuditError, match="triggers were altered"):
        share("two")


def test_a_log_that_was_set_back_under_a_running_gateway_takes_nothing_more_from_it(
    share, record, admin
):
    with share("one") as one, share("two") as two:
        for number in range(5):
            one.append(record(number))
        rest = "WHERE position >= 3", "WHERE position >= 4", "WHERE size > 3"
        tables = ("entries", "nodes", "checkpoints")
        admin(
            *UNGUARDED,
            *(
                f"DELETE FROM audit_log.{each} {which}"
                for each, which in zip(tables, rest, strict=True)
            ),
        )
        with pytest.raises(AuditError, match="acknowledged entries are gone"):
            one.append(record(5))
        two.append(record(6))  # it had heard of three entries only, and all of them are there
        two.append(record(7))
        two.append(record(8))
        for _ in range(2):
            with pytest.raises(AuditError) as caught:
                one.append(record(9))
            assert code(caught) == "A002"


def test_a_log_that_went_on_otherwise_is_not_followed(share, record, admin):
    with share("one") as one, share("two") as two:
        two.append(record(0))
        one.append(record(1))
        note = one.checkpoint()
        admin(
            *UNGUARDED,
            "DELETE FROM audit_log.entries WHERE position = 1",
            "DELETE FROM audit_log.nodes WHERE position > 0",
            "DELETE FROM audit_log.checkpoints WHERE size = 2",
        )
        two.append(record(2))
        two.append(record(3))
        with pytest.raises(AuditError) as caught:
            one.append(record(4))
        assert code(caught) == "A002"
        admin(*GUARDED)
        with pytest.raises(AuditError, match="split view"):
            two.verify(note)


def test_a_reader_beside_them_sees_the_log_as_it_was(
    share, record, engine, signer, clock, tmp_path
):
    with share("one") as one:
        for number in range(7):
            one.append(record(number))
        with read_shared(engine, [signer.key], clock, 3) as reader:
            one.append(record(7))
            assert (reader.size, reader.verify(), len(list(reader.entries()))) == (7, 7, 7)
            query = ReleaseQuery(dataset="ga.population")
            assert len(list(reader.releases(query))) == 7
            assert reader.export(tmp_path / "export") == 7
    (tmp_path / "key").write_text(signer.key.text() + "\n")
    assert verify.verify(tmp_path / "export", verify.read_keys(signer.key.text())) == 7
    done = subprocess.run(
        [sys.executable, "-I", verify.__file__, str(tmp_path / "export"), str(tmp_path / "key")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_a_log_of_more_than_one_page_is_read_whole(share, record):
    with share("one") as one:
        futures = [one.submit(record(number)) for number in range(1203)]
        assert sorted(each.result().index for each in futures) == list(range(1203))
        assert one.verify() == len(list(one.entries())) == 1203
        assert sum(1 for _ in one.releases(ReleaseQuery(dataset="ga.population"))) == 1203


def test_a_database_without_a_log_says_so(engine, signer, clock):
    assert begun(engine) is False
    with pytest.raises(AuditError) as caught:
        read_shared(engine, [signer.key], clock, 3)
    assert code(caught) == "A002"


def test_another_key_hash_or_retention_is_refused(share, tmp_path, signer, make_rng):
    share("one").close()
    fresh = CheckpointSigner.create(tmp_path / "new.key", signer.name, make_rng("new"))
    with pytest.raises(AuditError, match="not signed by the log"):
        share("two", signed=fresh)
    with pytest.raises(AuditError, match="another hash function"):
        share("two", profile=SM3)
    with pytest.raises(ConfigError) as caught:
        share("two", retention_years=2)
    assert code(caught) == "C003"
    with share("two", signed=fresh, retired_keys=[signer.key]) as rotated:
        assert rotated.verify() == 0


# --- a gateway's own file ---------------------------------------------------------------------------------------------


def test_a_shared_log_begins_with_the_gateways_own(share, log, log_path, record, tmp_path):
    for number in range(6):
        log.append(record(number))
    before, whole = log.checkpoint(), log.export(tmp_path / "file")
    log.close()
    with share("one", file=log_path) as one:
        assert one.verify(before) == one.size == 6
        assert one.export(tmp_path / "shared") == whole
        assert (tmp_path / "file").read_bytes() == (tmp_path / "shared").read_bytes()
        one.append(record(6))
    with share("two", file=log_path) as two:  # the file is its beginning, and stays where it is
        assert two.size == 7


def test_a_file_that_is_in_use_is_not_carried_over(share, log, log_path, record, engine):
    log.append(record(0))
    with pytest.raises(AuditError) as caught:
        share("one", file=log_path)
    assert code(caught) == "A003"
    assert not begun(engine)


def test_a_gateway_whose_own_log_is_another_does_not_join(share, log, log_path, record):
    share("one").close()
    log.append(record(0))
    log.close()
    with pytest.raises(AuditError, match="not the beginning of the shared log"):
        share("two", file=log_path)


def test_a_tampered_file_is_not_carried_over(share, log, log_path, record, engine):
    for number in range(3):
        log.append(record(number))
    log.close()
    connection = sqlite3.connect(log_path, isolation_level=None)
    connection.execute("DROP TRIGGER entries_update")
    connection.execute("UPDATE entries SET leaf = CAST(replace(leaf, 'lin', 'wan') AS BLOB)")
    connection.close()
    with pytest.raises(AuditError, match="entry 0 was altered"):
        share("one", file=log_path)
    assert not begun(engine)
