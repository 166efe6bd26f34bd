"""Key files: for their owner alone, and under a passphrase from a place that is guarded too."""

import os
import stat
import subprocess

import keyring
import keyring.backend
import pytest
from made_parties import World

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.crypto.certificates import new_key
from middleplatform.crypto.key_files import decode_key, encode_key, read_private, replace_private
from middleplatform.enrolment import passphrases
from middleplatform.enrolment.documents import DOCUMENT_BYTES_MAX
from middleplatform.enrolment.folder import Folder, Peers
from middleplatform.enrolment.member import Member
from middleplatform.enrolment.status import status_of
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import ConfigError


def code_of(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return caught.value.code


def secret(words=b"a long passphrase"):
    return passphrases.once(lambda: words)


def test_every_file_of_a_party_is_for_its_owner_alone(world):
    for path in world.root.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        expected = 0o700 if path.is_dir() else 0o600
        kept = any(path.is_relative_to(world.path(party)) for party in ("gateway", "ga", "fs"))
        assert not kept or mode == expected, path


@pytest.mark.parametrize("name", ["identity.key", "tls.pem", "local.json", "roster.json"])
def test_a_file_that_others_may_read_or_write_is_refused(world, name):
    node = world.trust("ga")
    (world.path("ga") / name).chmod(0o644)
    assert code_of(node.server_context) == "C006"
    assert code_of(lambda: world.trust("ga").server_context()) == "C006"


def test_keys_under_a_passphrase_open_with_it_alone(tmp_path):
    world = World(tmp_path)
    folder = Folder(tmp_path / "ga")
    Member(folder, secret(), SystemClock(), SystemRng()).create("ga", "mp.internal", Peers.PINNED)
    assert b"ENCRYPTED" in folder.identity_file.read_bytes()
    assert b"ENCRYPTED" in folder.next_tls_file.read_bytes()
    assert status_of(folder.path, SystemClock()).encrypted
    for wrong in (secret(b"another passphrase"), None):
        member = Member(folder, wrong, SystemClock(), SystemRng())
        assert code_of(member.fingerprint) == "C006"
    assert world.root == tmp_path


def test_a_running_node_opens_encrypted_keys_by_its_surroundings(world, tmp_path, monkeypatch):
    for path in (world.folder("ga").identity_file, world.folder("ga").tls_file):
        content = path.read_bytes()
        certificate = content[content.find(b"-----BEGIN CERT") :] if path.suffix == ".pem" else b""
        path.write_bytes(encode_key(decode_key(content, None), secret(), SystemRng()) + certificate)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.delenv("MIDDLEPLATFORM_PASSPHRASE_FILE", raising=False)
    assert code_of(world.trust, "ga") == "C006"
    (tmp_path / passphrases.CREDENTIAL).write_bytes(b"a long passphrase\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    world.trust("ga").server_context()
    file = tmp_path / "pass"
    file.write_bytes(b"a wrong passphrase")
    monkeypatch.setenv("MIDDLEPLATFORM_PASSPHRASE_FILE", str(file))
    file.chmod(0o640)
    assert code_of(world.trust, "ga") == "C006"
    file.chmod(0o600)
    assert code_of(world.trust, "ga") == "C006"
    opened = Trust.open(world.path("ga"), "ga", SystemClock(), secret())
    assert opened.server_context() is opened.server_context()


def test_a_short_or_empty_passphrase_is_refused(tmp_path):
    key = new_key(SystemRng())
    assert code_of(encode_key, key, secret(b"short"), SystemRng()) == "C006"
    empty = tmp_path / "empty"
    empty.touch(0o600)
    assert code_of(passphrases.from_file(empty)) == "C006"


def test_an_unattended_process_is_told_that_it_needs_a_file():
    script = (
        "from middleplatform.enrolment.passphrases import from_terminal\n"
        "from middleplatform.errors import ConfigError\n"
        "try:\n    from_terminal('?')()\n"
        "except ConfigError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [os.sys.executable, "-c", script], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    assert b"--passphrase-file" in done.stdout


def test_two_files_of_one_passphrase_share_no_derived_password():
    key, words = new_key(SystemRng()), secret()
    first, second = (encode_key(key, words, SystemRng()) for _ in range(2))
    assert first.splitlines()[0] != second.splitlines()[0]
    assert decode_key(first, words).private_bytes_raw() == key.private_bytes_raw()
    mixed = second.splitlines(keepends=True)[0] + b"".join(first.splitlines(keepends=True)[1:])
    assert code_of(decode_key, mixed, words) == "C006"


def test_the_key_store_of_the_operating_system_keeps_the_passphrase():
    """A store of the real library, in memory: a test must not touch the one of its user."""

    class Store(keyring.backend.KeyringBackend):
        priority = 1

        def __init__(self):
            self.kept = {("middleplatform", "mp.internal/ga"): "a long passphrase"}

        def get_password(self, service, username):
            return self.kept.get((service, username))

        def set_password(self, service, username, password):
            self.kept[service, username] = password

        def delete_password(self, service, username):
            del self.kept[service, username]

    before = keyring.get_keyring()
    keyring.set_keyring(Store())
    try:
        assert passphrases.from_keyring("mp.internal/ga")() == b"a long passphrase"
        assert code_of(passphrases.from_keyring("mp.internal/fs")) == "C006"
    finally:
        keyring.set_keyring(before)


def test_a_long_roster_is_read_whole_and_an_endless_file_not_at_all(tmp_path):
    path = tmp_path / "roster.json"
    replace_private(path, b"x" * DOCUMENT_BYTES_MAX)
    assert len(read_private(path)) == DOCUMENT_BYTES_MAX
    replace_private(path, b"x" * (3 * DOCUMENT_BYTES_MAX))
    assert code_of(read_private, path) == "C006"
