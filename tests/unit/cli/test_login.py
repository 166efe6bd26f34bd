"""The administrator's commands on logins: the file is checked, sessions are told, and ended with a reason."""

import json

from middleplatform.access.system import SystemClock, SystemRng
from middleplatform.login.sessions import How, Sessions
from middleplatform.model.request import Role, Subject
from middleplatform.store.database import Store

LIN = Subject("lin", "drc", frozenset({Role.ANALYST}))
FILE = """address: https://data.gov.example
provider: {issuer: https://id.gov.example, client_id: middleplatform}
claims:
  department: {always: drc}
  roles: {claim: groups, values: {mp-analyst: analyst}}
  regions: {always: ["*"]}
"""


def token(shell, tmp_path, login, role):
    ran = shell("token", "add", login, "--department", "db", "--role", role)
    (tmp_path / login).write_text(ran.out)
    return f"@{login}"


def test_good_file_is_told_what_it_gives_and_a_wrong_one_its_place(shell, tmp_path, monkeypatch):
    (tmp_path / "login.yaml").write_text(FILE, encoding="utf-8")
    ran = shell("login", "check", "login.yaml", "--json")
    assert ran.code == 0
    told = json.loads(ran.out)
    assert (told["provider"], told["roles"]) == (
        "https://id.gov.example",
        {"mp-analyst": "analyst"},
    )
    monkeypatch.setenv("MIDDLEPLATFORM_LOGIN", "login.yaml")
    said = shell("login", "check", "--locale", "zh")
    assert "https://id.gov.example" in said.out + said.err
    (tmp_path / "login.yaml").write_text(FILE.replace("analyst}}", "root}}"), encoding="utf-8")
    ran = shell("login", "check", "--locale", "en")
    assert ran.code == 17
    assert "login.yaml:5:" in ran.err


def test_sessions_are_listed_and_ended_by_who_may(shell, tmp_path):
    with Store.open(f"sqlite:///{tmp_path / 'state' / 'store.db'}") as store:
        Sessions(store, SystemClock(), SystemRng()).begin(LIN, How.TOKEN, address="192.0.2.1")
    admin = token(shell, tmp_path, "admin", "system_administrator")
    auditor = token(shell, tmp_path, "auditor", "auditor")
    assert shell("login", "sessions", "--token", auditor).code == 11
    (told,) = json.loads(shell("login", "sessions", "--token", admin, "--json").out)
    assert (told["login"], told["roles"], told["address"]) == ("lin", ["analyst"], "192.0.2.1")
    assert "192.0.2.1" in shell("login", "sessions", "lin", "--token", admin).out
    ran = shell("login", "end", "lin", "--reason", "left", "--token", admin, "--json")
    assert json.loads(ran.out) == {"ended": 1}
    assert json.loads(shell("login", "sessions", "--token", admin, "--json").out) == []
    assert shell("login", "end", "lin", "--reason", "left", "--token", admin).code == 10
    assert shell("login", "forget", "lin", "--reason", "left", "--token", admin).code == 10
