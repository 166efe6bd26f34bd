"""The key holder joins and runs as a node does, under its own name only."""

import json
from pathlib import Path

SETTINGS = """\
department: {name}
state: holder
catalog: catalog
bundle: bundle
"""


def test_it_asks_to_be_admitted_under_its_fixed_name(shell):
    ran = shell("keyholder", "init", "--state", "holder", "--unencrypted", "--json")
    assert ran.code == 0
    asked = json.loads(ran.out)
    assert asked["party"] == "keyholder"
    assert Path(asked["request"]).exists()
    assert shell("keyholder", "init", "--state", "other", "--department", "ga", "--unencrypted").code == 2  # fmt: skip


def test_it_is_admitted_and_enrolled_like_a_node(shell):
    platform = shell("gateway", "init", "--trust", "gateway", "--unencrypted").out.strip()
    own = shell("keyholder", "init", "--state", "holder", "--unencrypted").out.strip()
    admitted = shell("gateway", "admit", "holder/trust/request.json", "--trust", "gateway", "--fingerprint", own, "--address", "127.0.0.1:7443")  # fmt: skip
    enrolled = shell("keyholder", "enroll", "holder/trust/keyholder.admission.json", "--state", "holder", "--fingerprint", platform)  # fmt: skip
    assert (admitted.code, enrolled.code) == (0, 0)
    assert "127.0.0.1:7443" in shell("keyholder", "status", "--state", "holder").out


def test_it_does_not_serve_the_settings_of_a_department(shell):
    Path("node.yaml").write_text(SETTINGS.format(name="ga"))
    ran = shell("keyholder", "serve", "--config", "node.yaml")
    assert (ran.code, "must be keyholder" in ran.err) == (17, True)
    Path("node.yaml").write_text(SETTINGS.format(name="keyholder"))
    assert "must be keyholder" not in shell("keyholder", "serve", "--config", "node.yaml").err
