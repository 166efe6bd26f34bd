"""A server on another machine proves who it is, or nothing is said to it."""

import os
import pwd
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from postgres_server import READER, SCHEMA, running_server

from connectors.postgres import PostgresConnector
from connectors.spi import ConnectorError, ErrorKind

NOW = datetime.now(UTC)


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, signer, extension):
    return (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(extension, critical=False)
        .sign(signer, None)
        .public_bytes(Encoding.PEM)
    )


def authority(name):
    key = Ed25519PrivateKey.generate()
    basic = x509.BasicConstraints(ca=True, path_length=0)
    return key, certificate(name, key, name, key, basic)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start a server for 127.0.0.1 whose certificate the file ``ours`` of its folder vouches for."""
    trusted = tmp_path_factory.mktemp("authorities")
    signer, ours = authority("ours")
    (trusted / "ours").write_bytes(ours)
    (trusted / "theirs").write_bytes(authority("theirs")[1])
    key = Ed25519PrivateKey.generate()
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    with running_server() as started:
        files = {
            "server.crt": certificate("server", key, "ours", signer, names),
            "server.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        }
        for name, content in files.items():
            path = started.folder / "data" / name
            path.write_bytes(content)
            path.chmod(0o600)
            if started.user is not None:
                os.chown(path, pwd.getpwnam(started.user).pw_uid, -1)
        started.run("ALTER SYSTEM SET ssl = on", f"CREATE SCHEMA {SCHEMA}")
        started.run(f"GRANT USAGE ON SCHEMA {SCHEMA} TO {READER}")
        started.stop()
        started.start()
        yield started, trusted


def connect(server, host="127.0.0.1", **more):
    started, _ = server
    where = {"host": host, "port": started.port, "dbname": "postgres", "user": READER}
    return PostgresConnector(**where, schema=SCHEMA, **more)


def test_a_server_that_our_authority_vouches_for_is_let_in_and_encrypted(server):
    started, trusted = server
    connector = connect(server, sslmode="verify-full", sslrootcert=str(trusted / "ours"))
    encrypted = f"SELECT s.ssl FROM pg_stat_ssl AS s JOIN pg_stat_activity AS a USING (pid) WHERE usename = '{READER}'"
    assert started.rows(encrypted) == [(True,)]
    connector.close()


@pytest.mark.parametrize(
    ("host", "mode", "root"),
    [("127.0.0.1", "verify-full", "theirs"), ("127.0.0.1", "verify-ca", "theirs"), ("localhost", "verify-full", "ours")],
)  # fmt: skip
def test_a_server_of_another_authority_or_name_is_unreachable(server, host, mode, root):
    with pytest.raises(ConnectorError) as caught:
        connect(server, host, sslmode=mode, sslrootcert=str(server[1] / root))
    assert caught.value.kind is ErrorKind.UNREACHABLE
    assert "certificate" in caught.value.detail
