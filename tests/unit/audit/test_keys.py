"""Key texts and key files: one spelling, and never readable by others."""

import base64
import json
import pickle
from pathlib import Path

import pytest

from middleplatform.audit.keys import (
    CheckpointSigner,
    KeyKind,
    VerifierKey,
    WitnessSigner,
    read_private,
    strict_base64,
    write_private,
)  # fmt: skip
from middleplatform.errors import ConfigError

NOTE = json.loads(
    (Path(__file__).parents[2] / "vectors" / "audit" / "signed_note.json").read_text()
)
NAME = "audit.example/middleplatform"


def test_the_published_key_and_signature_verify():
    key = VerifierKey.parse(NOTE["vkey"])
    blob = base64.b64decode(NOTE["line"].split(" ")[2])
    assert key.text() == NOTE["vkey"]
    assert blob[:4] == key.key_id
    assert key.verify(blob[4:], NOTE["text"].encode())
    assert not key.verify(blob[4:], NOTE["text"].encode() + b"!")
    assert not key.verify(blob[4:-1], NOTE["text"].encode())


@pytest.mark.parametrize(
    "text",
    [
        "", "name", "name+00000000", NOTE["vkey"] + "=", NOTE["vkey"] + "\n", NOTE["vkey"].replace("c74f", "C74F"),
        NOTE["vkey"].replace("c74f", "c74e"), NOTE["vkey"].replace("Peter", "Petra"), "PeterNeumann+c74f20a3+",
        "a b+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "PeterNeumann+c74f20a3+ARpc", "n+00+fw==",
    ],
)  # fmt: skip
def test_any_other_spelling_of_a_public_key_is_refused(text):
    with pytest.raises(ConfigError) as caught:
        VerifierKey.parse(text)
    assert caught.value.code == "C006"


@pytest.mark.parametrize("text", ["AA", "AB==", "AA==\n", " AA==", "A-==", "AA=", "AA==AA=="])
def test_any_other_spelling_of_base64_is_refused(text):
    with pytest.raises(ValueError, match="base64"):
        strict_base64(text)


@pytest.mark.parametrize("kind", [CheckpointSigner, WitnessSigner])
def test_a_created_key_loads_again_and_only_its_owner_reads_it(tmp_path, make_rng, kind):
    path = tmp_path / "deep" / "a.key"
    made = kind.create(path, NAME, make_rng("a"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert kind.load(path).key == made.key == kind.load_or_create(path, NAME, make_rng("b")).key
    assert [item.name for item in path.parent.iterdir()] == ["a.key"]


def test_a_key_is_never_overwritten(tmp_path, make_rng):
    path = tmp_path / "a.key"
    first = CheckpointSigner.create(path, NAME, make_rng("a"))
    with pytest.raises(ConfigError) as caught:
        CheckpointSigner.create(path, NAME, make_rng("b"))
    assert caught.value.code == "C006"
    assert CheckpointSigner.load(path).key == first.key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(tmp_path, make_rng, mode):
    path = tmp_path / "a.key"
    CheckpointSigner.create(path, NAME, make_rng("a"))
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        CheckpointSigner.load(path)
    assert caught.value.code == "C006"
    assert "0600" in caught.value.public_message


def test_a_link_to_a_key_file_is_refused(tmp_path, make_rng):
    CheckpointSigner.create(tmp_path / "a.key", NAME, make_rng("a"))
    (tmp_path / "b.key").symlink_to(tmp_path / "a.key")
    with pytest.raises(ConfigError):
        CheckpointSigner.load(tmp_path / "b.key")


def test_a_missing_key_a_folder_and_a_dangling_link_are_refused(tmp_path, make_rng):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("missing", ".", "dangling"):
        with pytest.raises(ConfigError) as caught:
            CheckpointSigner.load(tmp_path / name)
        assert caught.value.code == "C006"
    with pytest.raises(ConfigError):
        CheckpointSigner.load_or_create(tmp_path / "dangling", NAME, make_rng("a"))


def test_a_damaged_or_foreign_key_file_is_refused_without_showing_it(tmp_path, make_rng):
    path = tmp_path / "a.key"
    CheckpointSigner.create(path, NAME, make_rng("a"))
    good = path.read_text()
    secret = good.rsplit("+", 1)[1].strip()
    for bad in ("", good.strip(), good + good, good.replace("PRIVATE+KEY+", ""), good[:-9] + "\n", "\udcff",
                good.replace("+KEY+audit", "+KEY+Audit")):  # fmt: skip
        path.write_bytes(bad.encode(errors="surrogateescape"))
        with pytest.raises(ConfigError) as caught:
            CheckpointSigner.load(path)
        assert caught.value.code == "C006"
        assert secret[:20] not in caught.value.public_message + caught.value.detail


def test_a_witness_key_does_not_pass_for_a_log_key(tmp_path, make_rng):
    WitnessSigner.create(tmp_path / "w.key", NAME, make_rng("a"))
    with pytest.raises(ConfigError):
        CheckpointSigner.load(tmp_path / "w.key")


def test_a_key_under_another_name_is_refused(tmp_path, make_rng):
    CheckpointSigner.create(tmp_path / "a.key", NAME, make_rng("a"))
    with pytest.raises(ConfigError):
        CheckpointSigner.load_or_create(tmp_path / "a.key", "other.example", make_rng("a"))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\x00b", "a\n"])
def test_a_name_that_would_break_the_note_is_refused(tmp_path, make_rng, name):
    with pytest.raises(ConfigError):
        CheckpointSigner.create(tmp_path / "a.key", name, make_rng("a"))


def test_a_private_key_shows_in_no_text_and_is_not_serialized(tmp_path, make_rng):
    signer = CheckpointSigner.create(tmp_path / "a.key", NAME, make_rng("a"))
    secret = read_private(tmp_path / "a.key").rsplit("+", 1)[1]
    assert secret not in repr(signer) + str(signer)
    assert signer.key.text() in repr(signer)
    with pytest.raises(TypeError):
        pickle.dumps(signer)


def test_an_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        write_private(tmp_path / "file" / "a.key", "x")
    assert caught.value.code in {"C006", "C011"}
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_log_and_witness_keys_differ_in_id_though_not_in_bytes():
    raw = bytes(32)
    assert (
        VerifierKey("n", KeyKind.LOG, raw).key_id != VerifierKey("n", KeyKind.WITNESS, raw).key_id
    )
