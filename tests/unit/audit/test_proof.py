"""A receipt stands alone, years later, without the log."""

import pytest

from middleplatform.audit.checkpoint import Checkpoint
from middleplatform.audit.log import AuditLog
from middleplatform.audit.merkle import SM3
from middleplatform.audit.proof import check_extension, check_receipt, parse_proof, proof_text
from middleplatform.errors import AuditError
from middleplatform.model.record import Receipt


@pytest.fixture
def receipts(log, record):
    return [future.result() for future in [log.submit(record(number)) for number in range(20)]]


def test_every_receipt_proves_its_record_offline(log, record, receipts):
    for number, receipt in enumerate(receipts):
        signed = check_receipt(record(number), receipt, log.keys)
        assert signed.checkpoint.size > number


def test_a_receipt_proves_no_other_record_place_or_checkpoint(log, record, receipts):
    good = receipts[4]
    later = log.append(record(20))
    flipped = tuple(f"{int(part, 16) ^ 1:064x}" for part in good.proof)
    cases = [
        (record(5), good),
        (record(4, subject="wang"), good),
        (record(4, event="refused"), good),
        (record(4), Receipt(5, good.leaf_hash, good.checkpoint, good.proof)),
        (record(4), Receipt(4, good.leaf_hash, later.checkpoint, good.proof)),
        (record(4), Receipt(4, good.leaf_hash, good.checkpoint, ("00" * 32, *good.proof))),
        (record(4), Receipt(4, good.leaf_hash, good.checkpoint, ("zz", *good.proof))),
        (record(4), Receipt(4, "00" * 32, good.checkpoint, good.proof)),
        (record(20), Receipt(20, later.leaf_hash, later.checkpoint, tuple(reversed(later.proof)))),
        (record(4), Receipt(4, good.leaf_hash, good.checkpoint.replace("20", "21"), good.proof)),
    ]  # fmt: skip
    if flipped:
        cases.append((record(4), Receipt(4, good.leaf_hash, good.checkpoint, flipped)))
    for changed, receipt in cases:
        if receipt == good and changed == record(4):
            continue
        with pytest.raises(AuditError) as caught:
            check_receipt(changed, receipt, log.keys)
        assert caught.value.code == "A002"


def test_the_proof_file_reads_back_to_the_receipt(log, record, receipts):
    for number in (0, 7, 19):
        text = proof_text(receipts[number])
        assert text.startswith(f"c2sp.org/tlog-proof@v1\nindex {number}\n")
        again = parse_proof(text, record(number))
        assert again == receipts[number]
        check_receipt(record(number), again, log.keys)


def test_any_other_spelling_of_a_proof_file_is_refused(record, receipts):
    text = proof_text(receipts[7])
    head, rest = text.split("\n", 1)
    for bad in ("", head, text.replace("index 7", "index 07"), text.replace("index 7", "index ７"),
                text.replace("index 7", "7"), "c2sp.org/tlog-proof@v2\n" + rest, text.replace("\n\n", "\n", 1),
                head + "\nextra AAAA\n" + rest, text.replace("=\n", "\n", 1), text.replace("index 7\n", "index 7\n\n")):  # fmt: skip
        if bad == text:
            continue
        with pytest.raises(AuditError, match="malformed"):
            parse_proof(bad, record(7))


def test_checkpoints_of_two_logs_never_extend_one_another():
    root = bytes(32)
    with pytest.raises(AuditError, match="different logs"):
        check_extension(Checkpoint("a", 1, root), Checkpoint("b", 1, root), [])


def test_a_log_under_sm3_proves_its_entries_under_sm3_only(log_path, signer, clock, record):
    with AuditLog.open(log_path, signer, clock, profile=SM3) as log:
        receipts = [log.append(record(number)) for number in range(5)]
        log.verify()
        check_receipt(record(4), receipts[4], log.keys, SM3)
        with pytest.raises(AuditError):
            check_receipt(record(4), receipts[4], log.keys)
    with pytest.raises(AuditError, match="hash function"):
        AuditLog.open(log_path, signer, clock)
