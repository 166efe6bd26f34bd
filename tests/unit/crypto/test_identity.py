import copy
import os
import pickle
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from middleplatform.crypto.identity import IdentityKey, PinnedKeys, fingerprint, verify
from middleplatform.errors import ConfigError, ProtocolError


@pytest.fixture
def identity(seeded_rng):
    return IdentityKey.generate(seeded_rng("identity"))


def test_a_signature_verifies_in_its_own_context(identity):
    verify(identity.public_key, "receipt", b"m", identity.sign("receipt", b"m"))


@pytest.mark.parametrize(
    ("context", "message"), [("hello", b"m"), ("receipt", b"n"), ("receip", b"tm"), ("", b"m")]
)
def test_a_signature_serves_no_other_context_or_message(identity, context, message):
    with pytest.raises(ProtocolError) as caught:
        verify(identity.public_key, context, message, identity.sign("receipt", b"m"))
    assert caught.value.code == "X001"


@pytest.mark.parametrize("public_key", [b"", bytes(31), b"\xff" * 32])
def test_a_malformed_public_key_verifies_nothing(identity, public_key):
    with pytest.raises(ProtocolError):
        verify(public_key, "receipt", b"m", identity.sign("receipt", b"m"))


def test_representations_show_no_private_part(identity):
    private = identity._pair[0].private_bytes_raw().hex()
    shown = repr(identity) + str(identity) + repr(PinnedKeys({"a": identity.public_key}))
    assert private not in shown
    assert identity.fingerprint in shown
    assert identity.fingerprint == fingerprint(identity.public_key)


def test_an_identity_is_not_copied_or_pickled(identity):
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            attempt(identity)


def test_a_key_file_is_made_once_and_for_its_owner_only(tmp_path, seeded_rng):
    path = tmp_path / "identity.pem"
    first = IdentityKey.load_or_create(path, seeded_rng("a"))
    second = IdentityKey.load_or_create(path, seeded_rng("b"))
    assert first.public_key == second.public_key == IdentityKey.load(path).public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["identity.pem"]


def test_a_key_that_somebody_else_made_meanwhile_is_kept(tmp_path, seeded_rng):
    path = tmp_path / "identity.pem"

    class RacingRng(seeded_rng):
        """Another process finishes its key while this one draws."""

        def token_bytes(self, count):
            if not path.exists():
                IdentityKey.load_or_create(path, seeded_rng("winner"))
            return super().token_bytes(count)

    loser = IdentityKey.load_or_create(path, RacingRng("loser"))
    assert loser.public_key == IdentityKey.generate(seeded_rng("winner")).public_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o700])
def test_a_key_file_open_to_others_is_refused(tmp_path, seeded_rng, mode):
    path = tmp_path / "identity.pem"
    IdentityKey.load_or_create(path, seeded_rng("a"))
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        IdentityKey.load(path)
    assert caught.value.code == "C006"


def x25519_pem():
    key = X25519PrivateKey.from_private_bytes(bytes(range(32)))
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("content", [b"", b"not a key", x25519_pem()])
def test_a_file_without_an_ed25519_key_is_refused(tmp_path, content):
    path = tmp_path / "identity.pem"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError) as caught:
        IdentityKey.load(path)
    assert caught.value.code == "C006"


def test_missing_linked_and_irregular_key_files_are_refused(tmp_path, seeded_rng):
    target, link, pipe = tmp_path / "target.pem", tmp_path / "link.pem", tmp_path / "pipe"
    IdentityKey.load_or_create(target, seeded_rng("a"))
    link.symlink_to(target)
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path / "missing.pem", link, pipe, tmp_path):
        with pytest.raises(ConfigError) as caught:
            IdentityKey.load(path)
        assert caught.value.code == "C006"


def test_a_dangling_link_is_not_written_through(tmp_path, seeded_rng):
    link = tmp_path / "link.pem"
    link.symlink_to(tmp_path / "elsewhere.pem")
    with pytest.raises(ConfigError):
        IdentityKey.load_or_create(link, seeded_rng("a"))
    assert not (tmp_path / "elsewhere.pem").exists()


def test_a_folder_that_is_missing_gives_a_clear_error(tmp_path, seeded_rng):
    with pytest.raises(ConfigError) as caught:
        IdentityKey.load_or_create(tmp_path / "no" / "identity.pem", seeded_rng("a"))
    assert caught.value.code == "C011"


def test_one_key_under_two_names_cannot_be_pinned(identity):
    with pytest.raises(ConfigError):
        PinnedKeys({"a": identity.public_key, "b": identity.public_key})


def test_a_key_of_another_length_cannot_be_pinned():
    with pytest.raises(ConfigError):
        PinnedKeys({"a": bytes(33)})


def test_an_unpinned_name_signs_nothing(identity):
    pins = PinnedKeys({"a": identity.public_key})
    pins.verify("a", "receipt", b"m", identity.sign("receipt", b"m"))
    with pytest.raises(ProtocolError):
        pins.verify("b", "receipt", b"m", identity.sign("receipt", b"m"))
