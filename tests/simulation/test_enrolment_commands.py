"""Enrolment as operators do it: real commands, two departments, one with its own authority, keys under passphrases."""

import json
import os
import subprocess
import sys

import pytest

from middleplatform.access.system import SystemClock
from middleplatform.enrolment.passphrases import from_file
from middleplatform.enrolment.trust import Trust
from middleplatform.errors import ProtocolError

SECRET = ("--passphrase-file", "pass")


class Office:
    """A folder in which commands run, with no terminal and none of the caller's settings."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "pass").write_text("correct horse battery")
        (folder / "pass").chmod(0o600)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MIDDLEPLATFORM_", "LC_", "LANG", "CREDENTIALS_"))
        }

    def run(self, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "middleplatform", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def told(self, *arguments):
        ran = self.run(*arguments, "--json")
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return json.loads(ran.stdout)

    def refused(self, *arguments):
        ran = self.run(*arguments, "--json")
        found = json.loads(ran.stdout)
        assert ran.returncode in (10, 14, 17), ran.stdout
        return found["code"], found["detail"]

    def trust(self, party):
        path = self.folder / ("gw" if party == "gateway" else f"{party}/trust")
        secret = None if party == "ga" else from_file(self.folder / "pass")
        return Trust.open(path, party, SystemClock(), secret)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def enrolled(office):
    """Enrol gateway, ga and fs, and return the three fingerprints."""
    platform = office.told("gateway", "init", "--trust", "gw", *SECRET)["platform_fingerprint"]
    ga = office.told("node", "init", "--department", "ga", "--state", "ga", "--unencrypted")
    fs = office.told(
        "node", "init", "--department", "fs", "--state", "fs", "--own-authority", *SECRET
    )
    for name, each, port in (("ga", ga, 9001), ("fs", fs, 9002)):
        made = office.told(
            "gateway", "admit", each["request"], "--fingerprint", each["fingerprint"],
            "--address", f"127.0.0.1:{port}", "--trust", "gw", *SECRET,
        )  # fmt: skip
        secret = SECRET if name == "fs" else ()
        status = office.told(
            "node", "enroll", made["admission"], "--fingerprint", platform, "--state", name, *secret
        )
        assert (status["party"], status["certificate"]) == (name, "valid")
    return platform, ga["fingerprint"], fs["fingerprint"]


def test_two_departments_enrol_are_pinned_rotate_and_are_revoked(office):
    platform, ga, fs = enrolled(office)
    gateway = office.trust("gateway")
    assert gateway.departments() == ("fs", "ga")
    assert gateway.address("fs") == "127.0.0.1:9002"

    status = office.told("node", "status", "--state", "fs")
    assert status["platform_fingerprint"] == platform
    assert {each["name"]: each["pin"] for each in status["parties"]} == {
        "fs": "own", "ga": "pending", "gateway": "pinned",
    }  # fmt: skip
    assert office.trust("fs").pins.names == {"fs", "gateway"}
    grouped = " ".join(ga[place : place + 8] for place in range(0, 64, 8)).upper()
    office.told("node", "pin", "ga", "--fingerprint", grouped, "--state", "fs")
    running = office.trust("fs")
    assert running.pins.names == {"fs", "ga", "gateway"}

    before = office.told("node", "status", "--state", "fs")["serial"]
    assert office.told("node", "rotate", "--state", "fs", *SECRET)["in_force"]
    assert office.told("node", "status", "--state", "fs")["serial"] != before
    assert office.told("gateway", "rotate", "--trust", "gw", *SECRET)["certificate"] == "valid"
    rotated = office.told("gateway", "rotate", "--identity", "--trust", "gw", *SECRET)
    gateway.refresh()
    assert gateway.identity.fingerprint == rotated["fingerprint"]
    office.told("node", "roster", "--accept", "gw/roster.json", "--state", "fs")
    running.refresh()
    signature = gateway.identity.sign("call", b"m")
    running.pins.verify("gateway", "call", b"m", signature)

    office.told("gateway", "revoke", "ga", "--trust", "gw", *SECRET)
    gateway.refresh()
    assert gateway.departments() == ("fs",)
    office.told("node", "revoke", "gateway", "--state", "fs")
    with pytest.raises(ProtocolError):
        running.check_peer(None, "gateway")
    assert "gateway" not in running.pins.names
    status = office.told("node", "status", "--state", "fs")
    states = {each["name"]: each["state"] for each in status["parties"]}
    assert states == {"fs": "active", "ga": "active", "gateway": "refused"}
    assert fs == status["fingerprint"]


def test_what_was_not_compared_is_refused_with_what_to_do(office):
    office.told("gateway", "init", "--trust", "gw", *SECRET)
    made = office.told("node", "init", "--department", "ga", "--state", "ga", "--unencrypted")
    admit = ("gateway", "admit", made["request"], "--address", "h:1", "--trust", "gw")
    code, said = office.refused(*admit, "--fingerprint", "0" * 64, *SECRET)
    assert (code, "telephone" in said) == ("X006", True)
    assert office.refused(*admit, *SECRET)[0] == "X006"
    assert office.refused(*admit, "--fingerprint", "12", *SECRET)[0] == "Q040"
    admission = office.told(*admit, "--fingerprint", made["fingerprint"], *SECRET)["admission"]
    enroll = ("node", "enroll", admission, "--state", "ga")
    assert office.refused(*enroll, "--fingerprint", "0" * 64)[0] == "X006"
    assert office.refused(*enroll)[0] == "X006"
    assert office.refused("node", "init", "--department", "tax", "--state", "tax")[0] == "C006"
    again = ("node", "init", "--department", "ga", "--state", "ga", "--unencrypted")
    assert office.refused(*again)[0] == "C012"
    assert office.refused("node", "status", "--state", "nowhere")[0] == "C012"


def test_keys_need_their_passphrase_and_none_is_guessed_at(office):
    office.told("gateway", "init", "--trust", "gw", *SECRET)
    (office.folder / "wrong").write_text("another passphrase")
    (office.folder / "wrong").chmod(0o600)
    rotate = ("gateway", "rotate", "--trust", "gw")
    code, said = office.refused(*rotate, "--passphrase-file", "wrong")
    assert (code, "passphrase is wrong" in said) == ("C006", True)
    code, said = office.refused(*rotate)
    assert (code, "--passphrase-file" in said) == ("C006", True)
    (office.folder / "pass").chmod(0o644)
    code, said = office.refused(*rotate, *SECRET)
    assert (code, "0600" in said) == ("C006", True)
    (office.folder / "pass").chmod(0o600)
    office.environment["MIDDLEPLATFORM_PASSPHRASE_FILE"] = "pass"
    assert office.told(*rotate)["certificate"] == "valid"


def test_a_registrar_on_another_machine_needs_only_files_carried(office):
    office.told("gateway", "init", "--trust", "gw", "--registrar", "vault", *SECRET)
    made = office.told("node", "init", "--department", "ga", "--state", "ga", "--unencrypted")
    office.told(
        "gateway", "admit", made["request"], "--fingerprint", made["fingerprint"],
        "--address", "h:1", "--registrar", "vault", "--out", "ga.admission", *SECRET,
    )  # fmt: skip
    gateway = office.trust("gateway")
    assert gateway.departments() == ()
    office.told("gateway", "roster", "--accept", "vault/roster.json", "--trust", "gw")
    gateway.refresh()
    assert gateway.departments() == ("ga",)
    assert office.run("gateway", "rotate", "--trust", "gw", *SECRET).returncode == 0
    office.told(
        "gateway", "admit", "gw/request.json", "--registrar", "vault", "--out", "gw.admission",
        *SECRET,
    )  # fmt: skip
    before = office.told("gateway", "status", "--trust", "gw")["serial"]
    office.told("gateway", "install", "gw.admission", "--trust", "gw", *SECRET)
    assert office.told("gateway", "status", "--trust", "gw")["serial"] != before
