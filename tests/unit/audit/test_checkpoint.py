"""The checkpoint's text: one spelling, one origin, one trusted signature."""

import base64

import pytest

from middleplatform.audit.checkpoint import (
    Checkpoint,
    check_cosignature,
    check_quorum,
    open_checkpoint,
    parse_checkpoint,
    parse_signature,
)  # fmt: skip
from middleplatform.audit.keys import CheckpointSigner
from middleplatform.errors import AuditError

ROOT = bytes(range(32))


@pytest.fixture
def body(signer):
    return Checkpoint(signer.name, 3, ROOT).body()


@pytest.fixture
def note(signer, body):
    return body + "\n" + signer.sign(body)


def test_a_signed_checkpoint_reads_back_as_it_was_written(signer, note):
    signed = open_checkpoint(note, [signer.key])
    assert signed.checkpoint == Checkpoint(signer.name, 3, ROOT)
    assert signed.text() == note


def test_the_example_of_the_specification_is_parsed():
    text = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo"
        "+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA==\n"
    )
    signed = parse_checkpoint(text)
    assert signed.checkpoint.size == 20852163
    assert [signature.name for signature in signed.signatures] == [
        "example.com/behind-the-sofa", "witness.example.com/w1",
    ]  # fmt: skip
    assert signed.text() == text


def spoiled(note: str) -> list[str]:
    """Every way we know of to write the same checkpoint otherwise."""
    body, line = note.split("\n\n")
    origin, size, root = body.split("\n")
    dash, name, blob = line.strip().split(" ")

    def made(origin=origin, size=size, root=root, tail=line):
        return f"{origin}\n{size}\n{root}\n\n{tail}"

    return [
        "", "\n", "\n\n", note[:-1], note + "\n", note + " ", " " + note, "\ufeff" + note, note.replace("\n", "\r\n"),
        note.replace("\n\n", "\n"), note.replace("\n\n", "\n\n\n"), "\n" + note, body + "\n\n", body + "\n\n\n",
        made(size="03"), made(size="+3"), made(size="-3"), made(size="3 "), made(size=" 3"), made(size="３"),
        made(size="3_0"), made(size="0x3"), made(size=""), made(size="9" * 30), made(size=str(2**63)), made(size="3.0"),
        made(origin=""), made(origin="a b"), made(origin="a+b"), made(origin="a\tb"), made(origin="a\x00"),
        made(origin="a\u2003b"),
        made(root=root[:-1]), made(root=root + "="), made(root=root.replace("A", "A ", 1)), made(root=""),
        made(root=base64.b64encode(ROOT[:31]).decode()), made(root=base64.b64encode(ROOT + b"0").decode()),
        made(root=base64.urlsafe_b64encode(b"\xff" * 32).decode()), made(root=ROOT.hex()),
        made(root=root + "\nextension"), made(root=root[:-2] + chr(ord(root[-2]) + 1) + "="),
        made(tail=line.replace("—", "-")), made(tail=line.replace("— ", "—  ")), made(tail=line.replace("— ", "—")),
        made(tail=f"{dash} {name} {blob} \n"), made(tail=f"{dash} {name} {blob}x\n"), made(tail=f"{dash} {name}\n"),
        made(tail=f"{dash}  {blob}\n"), made(tail=f"{dash} a+b {blob}\n"), made(tail=f"{dash} {name} \n"),
        made(tail=f"{dash} {name} AAAAAA==\n"), made(tail=line * 33), made(tail=line + "\n" + line),
        made(tail=f"{dash} {name} {base64.b64encode(bytes(140_000)).decode()}\n"),
        made(tail=line + f"{dash} x\ud800 {blob}\n"),
    ]  # fmt: skip


def test_every_other_spelling_is_refused(signer, note):
    for text in spoiled(note):
        assert text != note
        with pytest.raises(AuditError) as caught:
            open_checkpoint(text, [signer.key])
        assert caught.value.code == "A002", text


def test_a_changed_byte_anywhere_is_refused(signer, note):
    for place in range(len(note)):
        text = note[:place] + chr(ord(note[place]) ^ 1) + note[place + 1 :]
        with pytest.raises(AuditError):
            open_checkpoint(text, [signer.key])


def test_signatures_of_unknown_keys_are_ignored_but_do_not_suffice(
    tmp_path, signer, body, note, make_rng
):
    other = CheckpointSigner.create(tmp_path / "other.key", signer.name, make_rng("other"))
    assert len(open_checkpoint(note + other.sign(body), [signer.key]).signatures) == 2
    with pytest.raises(AuditError, match="not signed by the log"):
        open_checkpoint(body + "\n" + other.sign(body), [signer.key])
    with pytest.raises(AuditError, match="not signed by the log"):
        open_checkpoint(note, [])


def test_a_bad_signature_of_a_known_key_spoils_the_note(tmp_path, signer, note, make_rng):
    retired = CheckpointSigner.create(tmp_path / "other.key", signer.name, make_rng("other"))
    wrong = retired.sign(Checkpoint(signer.name, 4, ROOT).body())
    with pytest.raises(AuditError, match="does not verify"):
        open_checkpoint(note + wrong, [signer.key, retired.key])


def test_a_key_of_another_origin_does_not_vouch(signer):
    body = Checkpoint("other.example", 3, ROOT).body()
    with pytest.raises(AuditError, match="not signed by the log"):
        open_checkpoint(body + "\n" + signer.sign(body), [signer.key])


def test_a_cosignature_verifies_with_its_time(make_witness_signer, body, note):
    witness = make_witness_signer("tax")
    line = witness.cosign(body, 1_772_352_000)
    checkpoint = parse_checkpoint(note).checkpoint
    assert check_cosignature(checkpoint, parse_signature(line), witness.key) == 1_772_352_000
    assert check_quorum(parse_checkpoint(note + line), [witness.key], 1) == {
        witness.name: 1_772_352_000
    }


def test_a_cosignature_with_another_time_body_or_key_is_refused(
    make_witness_signer, signer, body, note
):
    tax, health = make_witness_signer("tax"), make_witness_signer("health")
    line = tax.cosign(body, 1_772_352_000)
    good = parse_signature(line)
    checkpoint = parse_checkpoint(note).checkpoint
    other = Checkpoint(signer.name, 4, ROOT)
    late = type(good)(good.name, good.key_id, (1).to_bytes(8, "big") + good.blob[8:])
    short = type(good)(good.name, good.key_id, good.blob[:-1])
    cases = [
        (other, good, tax),
        (checkpoint, late, tax),
        (checkpoint, short, tax),
        (checkpoint, good, health),
    ]
    for which, signature, witness in cases:
        with pytest.raises(AuditError, match="cosignature"):
            check_cosignature(which, signature, witness.key)


def test_one_witness_signing_twice_is_one_witness(make_witness_signer, body, note):
    tax, health = make_witness_signer("tax"), make_witness_signer("health")
    keys = [tax.key, health.key]
    twice = parse_checkpoint(note + tax.cosign(body, 5) + tax.cosign(body, 7))
    assert check_quorum(twice, keys, 1) == {tax.name: 7}
    with pytest.raises(AuditError, match="too few witnesses"):
        check_quorum(twice, keys, 2)


def test_a_bad_cosignature_of_a_known_witness_spoils_the_quorum(
    make_witness_signer, signer, body, note
):
    tax, health = make_witness_signer("tax"), make_witness_signer("health")
    bad = health.cosign(Checkpoint(signer.name, 4, ROOT).body(), 5)
    with pytest.raises(AuditError, match="cosignature"):
        check_quorum(parse_checkpoint(note + tax.cosign(body, 5) + bad), [tax.key, health.key], 1)


def test_the_log_key_does_not_pass_for_a_witness(signer, note):
    with pytest.raises(AuditError, match="too few witnesses"):
        check_quorum(
            parse_checkpoint(note), [signer.key.__class__(signer.name, 4, signer.key.public)], 1
        )
