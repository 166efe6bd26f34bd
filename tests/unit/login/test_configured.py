"""The file on logins is taken whole or refused with the place of what is wrong."""

from datetime import timedelta

import pytest

from middleplatform.errors import ConfigError
from middleplatform.login.configured import LoginConfig, load
from middleplatform.model.request import Role

WHOLE = """address: https://data.gov.example
provider:
  issuer: https://id.gov.example/realms/city
  client_id: middleplatform
  client_secret_file: secret
  name: {en: City login, zh: 市统一认证}
  scopes: [openid, profile]
  algorithms: [PS256]
  clock_skew_seconds: 30
claims:
  login: {claim: preferred_username, prefix: city.}
  department: {claim: dept, values: {发改委: drc}}
  roles: {claim: [realm_access, roles], values: {mp-a: analyst}}
  regions: {always: ["*"]}
sessions: {idle_minutes: 10, hours: 8, per_login: 2}
limits: {failures: 3, wait_seconds: 60, wait_minutes_max: 30}
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path / "login.yaml"


def loaded(file, text):
    file.write_text(text, encoding="utf-8")
    return load(file)


def told(file, text):
    with pytest.raises(ConfigError) as caught:
        loaded(file, text)
    return caught.value.message("en")


def test_without_a_file_tokens_alone_let_in():
    assert load(None) == LoginConfig()
    assert load(None).provider is None


def test_whole_file_is_taken(file):
    found = loaded(file, WHOLE)
    assert found.provider.client_secret == "s3cret"
    assert found.provider.scopes == ("openid", "profile")
    assert found.provider.algorithms == ("PS256",)
    assert found.claims.role == ("realm_access", "roles")
    assert found.claims.roles == {"mp-a": Role.ANALYST}
    assert found.claims.login == ("preferred_username",)
    assert found.bounds.idle == timedelta(minutes=10)
    assert (found.limits.failures, found.limits.wait_max) == (3, timedelta(minutes=30))


@pytest.mark.parametrize(("change", "said"), [
    (("https://data.gov.example", "http://data.gov.example"), "login.yaml:1:1: address"),
    (("https://data.gov.example", "https://data.gov.example/x"), "login.yaml:1:1: address"),
    (("https://id.gov", "http://id.gov"), "login.yaml:3:3: provider / issuer"),
    (("[PS256]", "[HS256]"), "must be one of"),
    (("[PS256]", "[none]"), "must be one of"),
    (("mp-a: analyst", "mp-a: root"), "must be one of"),
    (("sessions:", "session:"), "unknown field session"),
    (("  client_id: middleplatform\n", ""), "field client_id is missing"),
    (('  regions: {always: ["*"]}\n', ""), "field regions is missing"),
    (("secret\n  name", "nowhere\n  name"), "cannot be read"),
    (("hours: 8", "hours: 99"), "hours"),
])  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(file, change, said):
    old, new = (each.replace("\n", "\n").replace('\\"', '"') for each in change)
    assert old in WHOLE
    assert said in told(file, WHOLE.replace(old, new))


def test_plain_http_is_for_this_machine_on_both_ends(file):
    both = WHOLE.replace("https://data.gov.example", "http://127.0.0.1:8809")
    assert loaded(file, both.replace("https://id.gov.example", "http://localhost:9400"))
    half = WHOLE.replace("https://id.gov.example", "http://localhost:9400")
    assert "plain http" in told(file, half)


def test_secret_that_others_can_read_is_refused(file):
    (file.parent / "secret").chmod(0o640)
    assert "chmod 600" in told(file, WHOLE)


def test_provider_without_claims_lets_nobody_in_and_is_refused(file):
    assert told(file, WHOLE[: WHOLE.index("claims:")])
