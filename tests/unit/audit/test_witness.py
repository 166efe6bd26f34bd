"""Witnesses: a log with two pasts cannot get both cosigned."""

import pytest

from middleplatform.audit.checkpoint import check_quorum, parse_checkpoint
from middleplatform.audit.log import AuditLog
from middleplatform.audit.witness import Witness
from middleplatform.errors import AuditError, ConfigError


@pytest.fixture
def witness(tmp_path, make_witness_signer, signer, clock):
    return Witness(make_witness_signer("tax"), [signer.key], tmp_path / "tax.seen", clock)


def cosign(witness: Witness, log: AuditLog) -> str:
    return witness.cosign(log.checkpoint(), log.consistency_proof(witness.seen().size, log.size))


@pytest.mark.parametrize("log", ["file", "shared"], indirect=True)
def test_a_witness_follows_a_growing_log_and_its_cosignatures_are_served(
    log, record, witness, clock
):
    for number in range(9):
        log.append(record(number))
        if number % 3 == 0:
            log.add_cosignature(log.size, cosign(witness, log), witness.key)
            times = check_quorum(parse_checkpoint(log.checkpoint()), [witness.key], 1)
            assert times == {witness.key.name: int(clock.now().timestamp())}
    assert witness.seen().size == 7
    log.verify(against=log.checkpoint_at(7))
    with pytest.raises(AuditError, match="too few"):
        check_quorum(parse_checkpoint(log.checkpoint()), [witness.key], 1)


def test_a_split_view_is_refused_by_the_witness_and_found_against_its_checkpoint(
    tmp_path, log, record, witness, signer, clock
):
    log.append(record(0))
    log.append(record(1))
    cosign(witness, log)
    with AuditLog.open(tmp_path / "other.sqlite", signer, clock) as other:
        other.append(record(0))
        other.append(record(5))
        other.append(record(2))
        with pytest.raises(AuditError, match="consistency proof"):
            cosign(witness, other)
        with pytest.raises(AuditError, match="split view"):
            other.verify(against=log.checkpoint())
    assert witness.seen().size == 2


def test_a_log_that_was_set_back_is_refused(tmp_path, log, record, witness, signer, clock):
    for number in range(3):
        log.append(record(number))
    cosign(witness, log)
    with AuditLog.open(tmp_path / "other.sqlite", signer, clock) as other:
        other.append(record(0))
        with pytest.raises(AuditError, match="shrank"):
            witness.cosign(other.checkpoint(), [])
        with pytest.raises(AuditError, match="truncated"):
            other.verify(against=log.checkpoint())


def test_two_roots_of_one_size_are_refused(tmp_path, log, record, witness, signer, clock):
    log.append(record(0))
    cosign(witness, log)
    cosign(witness, log)
    with AuditLog.open(tmp_path / "other.sqlite", signer, clock) as other:
        other.append(record(1))
        with pytest.raises(AuditError, match="consistency proof"):
            witness.cosign(other.checkpoint(), [])


def test_a_checkpoint_that_the_log_did_not_sign_is_refused(log, record, witness):
    log.append(record(0))
    with pytest.raises(AuditError):
        witness.cosign(log.checkpoint().replace("\n1\n", "\n2\n"), [])
    assert witness.seen().size == 0


def test_nothing_is_cosigned_that_cannot_be_remembered(
    tmp_path, log, make_witness_signer, signer, clock
):
    lost = Witness(make_witness_signer("ss"), [signer.key], tmp_path / "nowhere" / "seen", clock)
    with pytest.raises(ConfigError) as caught:
        lost.cosign(log.checkpoint(), [])
    assert caught.value.code == "C011"
    blocked = Witness(make_witness_signer("ga"), [signer.key], tmp_path / "folder", clock)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError):
        blocked.cosign(log.checkpoint(), [])


def test_an_altered_memory_is_refused(tmp_path, log, record, witness):
    log.append(record(0))
    cosign(witness, log)
    memory = tmp_path / "tax.seen"
    memory.write_text(memory.read_text().replace("\n1\n", "\n0\n"))
    with pytest.raises(AuditError):
        witness.seen()


def test_the_log_keeps_no_cosignature_that_does_not_verify(
    log, record, witness, make_witness_signer
):
    log.append(record(0))
    line = cosign(witness, log)
    log.append(record(1))
    with pytest.raises(AuditError, match="cosignature"):
        log.add_cosignature(2, line, witness.key)
    with pytest.raises(AuditError, match="cosignature"):
        log.add_cosignature(1, line, make_witness_signer("health").key)
    with pytest.raises(AuditError) as caught:
        log.add_cosignature(9, line, witness.key)
    assert caught.value.code == "A004"
    log.add_cosignature(1, line, witness.key)
    log.add_cosignature(1, line, witness.key)
    assert log.checkpoint_at(1).count(witness.key.name) == 1
