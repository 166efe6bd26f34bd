"""Only an honest answer of the right provider, to this browser, for this login, and only once, lets anybody in."""

import asyncio
import base64
import dataclasses
import hmac
import json
import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from joserfc import jwk, jwt

from middleplatform.errors import ConfigError, PolicyError, ProtocolError
from middleplatform.login.configured import Provider
from middleplatform.login.issuer import Issuer
from middleplatform.login.oidc import Oidc
from tests.fakes.doors import HandClock
from tests.fakes.issuer import CLIENT, hand_issuer

HERE = "http://127.0.0.1:8809"


@pytest.fixture(scope="module")
def running():
    with hand_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running):
    for name, value in (
        ("claims", {}),
        ("document", {}),
        ("header", {"alg": "RS256"}),
        ("token", None),
    ):
        setattr(running, name, value)
    running.published = [running.key.as_dict(private=False)]
    running.calls.clear()
    running.forms.clear()
    return running


@pytest.fixture
def now():
    clock = HandClock()
    clock.moment = datetime.now(UTC)
    return clock


@pytest.fixture
def oidc(issuer, store, now, rng):
    return Oidc(Issuer(Provider(issuer.url, CLIENT), now), HERE, store, now, rng)


def log_in(oidc, issuer, *, spoil=lambda answer: answer, **claims):
    async def whole():
        started = await oidc.start()
        return await oidc.finish(started.secret, spoil(issuer.authorize(started.url, **claims)))

    return asyncio.run(whole())


def refused(oidc, issuer, **settings):
    with pytest.raises(PolicyError) as caught:
        log_in(oidc, issuer, **settings)
    assert caught.value.code == "P006"
    return caught.value.detail


def test_honest_answer_gives_the_claims(oidc, issuer):
    found = log_in(oidc, issuer, sub="u-7", groups=["a"])
    assert (found["sub"], found["groups"], found["iss"]) == ("u-7", ["a"], issuer.url)


def test_request_asks_for_a_code_with_pkce_and_tells_no_secret(oidc):
    started = asyncio.run(oidc.start())
    asked = {name: values[0] for name, values in parse_qs(urlsplit(started.url).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{HERE}/console/login/callback"
    assert len({asked["state"], asked["nonce"], asked["code_challenge"], started.secret}) == 4
    assert started.secret not in started.url


def test_answer_counts_once(oidc, issuer):
    async def twice():
        started = await oidc.start()
        answer = issuer.authorize(started.url)
        await oidc.finish(started.secret, answer)
        await oidc.finish(started.secret, answer)

    with pytest.raises(PolicyError, match="did not succeed"):
        asyncio.run(twice())
    assert issuer.calls.count("token") == 1


def test_answer_to_another_browser_is_refused(oidc, issuer):
    """Code injection, and login under an attacker's name: state, cookie and code belong together."""

    async def crossed():
        mine, theirs = await oidc.start(), await oidc.start()
        answer = issuer.authorize(theirs.url)
        with pytest.raises(PolicyError):
            await oidc.finish(mine.secret, answer)
        with pytest.raises(PolicyError):
            await oidc.finish("", answer)
        own = issuer.authorize(mine.url)
        with pytest.raises(PolicyError):
            await oidc.finish(mine.secret, own | {"code": answer["code"]})

    asyncio.run(crossed())
    assert issuer.calls.count("token") == 1


def test_answer_that_comes_too_late_is_refused(oidc, issuer, now):
    def late(answer):
        now.advance(minutes=11)
        return answer

    assert "too long" in refused(oidc, issuer, spoil=late)


@pytest.mark.parametrize("iss", ["https://evil.example", ""])
def test_answer_that_names_another_issuer_is_refused(oidc, issuer, iss):
    """Mix-up (RFC 9207): the code is not shown to the provider."""
    assert "another issuer" in refused(oidc, issuer, spoil=lambda answer: answer | {"iss": iss})
    assert "token" not in issuer.calls


def test_issuer_that_says_its_name_must_say_it(oidc, issuer):
    issuer.document = {"authorization_response_iss_parameter_supported": True}
    unnamed = refused(oidc, issuer, spoil=lambda a: {k: v for k, v in a.items() if k != "iss"})
    assert "another issuer" in unnamed


@pytest.mark.parametrize("spoiled", [
    {"error": "access_denied"}, {"code": ""}, {"code": "used-or-expired"}, {"code": "x" * 5000},
])  # fmt: skip
def test_answer_without_a_good_code_is_refused(oidc, issuer, spoiled):
    refused(oidc, issuer, spoil=lambda answer: answer | spoiled)


NOW = int(time.time())


@pytest.mark.parametrize(("name", "claims"), [
    ("iss", {"iss": "https://evil.example"}), ("iss", {"iss": None}),
    ("aud", {"aud": "another"}), ("aud", {"aud": [CLIENT, "another"]}), ("aud", {"aud": None}),
    ("azp", {"azp": "another"}),
    ("nonce", {"nonce": "replayed"}), ("nonce", {"nonce": None}), ("nonce", {"nonce": 5}),
    ("sub", {"sub": ""}), ("sub", {"sub": 5}), ("sub", {"sub": "x" * 256}),
    ("exp", {"exp": NOW - 3600}), ("exp", {"exp": None}), ("exp", {"exp": True}),
    ("exp", {"exp": "9999999999"}), ("iat", {"iat": NOW - 7200}), ("iat", {"iat": NOW + 7200}),
    ("iat", {"iat": None}), ("nbf", {"nbf": NOW + 7200}), ("nbf", {"nbf": "now"}),
])  # fmt: skip
def test_token_with_one_wrong_claim_is_refused(oidc, issuer, name, claims):
    issuer.claims = claims
    assert f"ID token: {name}" in refused(oidc, issuer)


def test_token_for_this_client_in_a_list_is_taken(oidc, issuer):
    issuer.claims = {"aud": [CLIENT], "azp": CLIENT}
    assert log_in(oidc, issuer)["sub"] == "u-1"


def compact(header, claims, signature=b""):
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def unsigned(issuer, claims):
    return compact({"alg": "none", "kid": issuer.key.kid}, claims)


def with_public_key(issuer, claims):
    """Sign with HMAC, and the issuer's public key as the shared secret."""
    text = compact({"alg": "HS256", "kid": issuer.key.kid}, claims).rstrip(".")
    key = issuer.key.as_pem(private=False)
    signature = hmac.digest(key, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def own_key(issuer, claims):
    key = jwk.RSAKey.generate_key(2048, {"kid": issuer.key.kid})
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def key_inside(_, claims):
    key = jwk.RSAKey.generate_key(2048, {"kid": "inside"})
    header = {"alg": "RS256", "kid": "inside", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, claims, key)


def other_claims(issuer, claims):
    head, _, signature = jwt.encode(
        {"alg": "RS256", "kid": issuer.key.kid}, claims, issuer.key
    ).split(".")
    changed = compact({}, claims | {"sub": "admin"}).split(".")[1]
    return f"{head}.{changed}.{signature}"


@pytest.mark.parametrize(
    "forged", [unsigned, with_public_key, own_key, key_inside, other_claims, lambda *_: "x", lambda *_: "x" * 70_000,
               lambda *_: "é.é.é"],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_forged_token_is_refused(oidc, issuer, forged):
    issuer.token = lambda claims: forged(issuer, claims)
    refused(oidc, issuer)


def test_algorithm_that_the_operator_does_not_list_is_refused(issuer, store, now, rng):
    provider = dataclasses.replace(Provider(issuer.url, CLIENT), algorithms=("ES256",))
    narrow = Oidc(Issuer(provider, now), HERE, store, now, rng)
    refused(narrow, issuer)


@pytest.mark.parametrize(("made", "alg"), [
    (lambda: jwk.ECKey.generate_key("P-256", {"kid": "e"}), "ES256"),
    (lambda: jwk.OKPKey.generate_key("Ed25519", {"kid": "e"}), "Ed25519"),
])  # fmt: skip
def test_other_asymmetric_signatures_are_taken(oidc, issuer, made, alg):
    key = made()
    issuer.published = [key.as_dict(private=False)]
    issuer.token = lambda claims: jwt.encode(
        {"alg": alg, "kid": "e"}, claims, key, algorithms=[alg]
    )
    assert log_in(oidc, issuer)["sub"] == "u-1"


@pytest.mark.parametrize("key", [
    {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"},
    jwk.RSAKey.generate_key(2048, {"kid": "first", "use": "enc"}).as_dict(private=False),
    {"kty": "RSA", "n": "!", "e": "AQAB"}, {"kty": "unheard of"}, {}, "text",
])  # fmt: skip
def test_key_that_is_not_for_signatures_verifies_nothing(oidc, issuer, key):
    issuer.published = [key | {"kid": "first"} if isinstance(key, dict) else key]
    assert "key" in refused(oidc, issuer)


def test_rotated_key_is_looked_for_once_and_then_taken(oidc, issuer, now):
    log_in(oidc, issuer)
    new = jwk.RSAKey.generate_key(2048, {"kid": "second"})
    issuer.token = lambda claims: jwt.encode({"alg": "RS256", "kid": "second"}, claims, new)
    now.advance(minutes=2)
    issuer.published = [issuer.key.as_dict(private=False), new.as_dict(private=False)]
    assert log_in(oidc, issuer)["sub"] == "u-1"
    assert issuer.calls.count("jwks") == 2
    log_in(oidc, issuer)
    assert issuer.calls.count("jwks") == 2


def test_unknown_key_does_not_make_us_ask_again_and_again(oidc, issuer):
    issuer.token = lambda claims: jwt.encode({"alg": "RS256", "kid": "no"}, claims, issuer.key)
    for _ in range(3):
        refused(oidc, issuer)
    assert issuer.calls.count("jwks") == 1


@pytest.mark.parametrize("document", [
    {"issuer": "https://evil.example"}, {"token_endpoint": None}, {"jwks_uri": 5},
    {"authorization_endpoint": "http://evil.example/authorize"},
    {"token_endpoint": "ftp://127.0.0.1/"}, {"code_challenge_methods_supported": ["plain"]},
    {"end_session_endpoint": "javascript:alert(1)"},
])  # fmt: skip
def test_provider_that_publishes_what_cannot_be_used_is_refused(oidc, issuer, document):
    issuer.document = document
    with pytest.raises(ProtocolError) as caught:
        asyncio.run(oidc.start())
    assert caught.value.code == "X008"


def test_provider_that_is_down_is_told_and_not_asked_by_everybody(store, now, rng):
    provider = Provider("http://127.0.0.1:9", CLIENT)
    oidc = Oidc(Issuer(provider, now), HERE, store, now, rng)
    details = []
    for _ in range(2):
        with pytest.raises(ProtocolError) as caught:
            asyncio.run(oidc.start())
        details.append(caught.value.detail)
    assert details[1] == "not reached a moment ago"


def test_provider_that_came_back_is_asked_again(issuer, store, now, rng):
    oidc = Oidc(Issuer(Provider(issuer.url, CLIENT), now), HERE, store, now, rng)
    issuer.document = {"issuer": "down"}
    with pytest.raises(ProtocolError):
        asyncio.run(oidc.start())
    issuer.document = {}
    now.advance(seconds=6)
    assert log_in(oidc, issuer)["sub"] == "u-1"


def test_secret_of_the_client_goes_where_the_provider_takes_it(issuer, store, now, rng):
    provider = Provider(issuer.url, CLIENT, client_secret="s e:cret")
    assert "cret" not in repr(provider)
    log_in(Oidc(Issuer(provider, now), HERE, store, now, rng), issuer)
    form, header = issuer.forms[-1]
    assert "client_secret" not in form
    assert base64.b64decode(header.removeprefix("Basic ")) == b"middleplatform:s+e%3Acret"
    issuer.document = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    log_in(Oidc(Issuer(provider, now), HERE, store, now, rng), issuer)
    form, header = issuer.forms[-1]
    assert (form["client_secret"], header) == ("s e:cret", None)


def test_logout_is_at_the_provider_and_comes_back(oidc, issuer):
    where = asyncio.run(oidc.logout_url())
    asked = parse_qs(urlsplit(where).query)
    assert where.startswith(f"{issuer.url}/end?")
    assert asked == {"client_id": [CLIENT], "post_logout_redirect_uri": [f"{HERE}/console/login"]}


def test_no_secret_of_a_login_under_way_is_in_the_store(oidc, tmp_path):
    started = asyncio.run(oidc.start())
    asked = parse_qs(urlsplit(started.url).query)
    found = b"".join(each.read_bytes() for each in tmp_path.iterdir())
    for secret in (started.secret, asked["state"][0], asked["nonce"][0]):
        assert secret.encode() not in found


def test_clock_of_the_provider_may_differ_a_little(oidc, issuer, now):
    now.moment += timedelta(seconds=-45)
    assert log_in(oidc, issuer)["sub"] == "u-1"


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """Return a server's context and the file of the certificate that vouches for it: its own, for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    today = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    text = key.private_bytes(form, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(text)
    (folder / "certificate.pem").write_bytes(made.public_bytes(form))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context, folder / "certificate.pem"


def test_provider_over_tls_is_believed_by_its_certificate_alone(certified, store, now, rng):
    context, file = certified
    with hand_issuer(context) as issuer:
        assert issuer.url.startswith("https://")
        vouched = Provider(issuer.url, CLIENT, ca_file=file)
        assert log_in(Oidc(Issuer(vouched, now), HERE, store, now, rng), issuer)["sub"] == "u-1"
        with pytest.raises(ProtocolError) as caught:
            asyncio.run(Issuer(Provider(issuer.url, CLIENT), now).metadata())
        assert "Certificate" in caught.value.detail


def test_provider_over_tls_cannot_send_us_to_plain_http(certified, now):
    context, file = certified
    with hand_issuer(context) as issuer:
        for name in ("token_endpoint", "jwks_uri", "authorization_endpoint"):
            issuer.document = {name: "http://127.0.0.1:9/x"}
            with pytest.raises(ProtocolError) as caught:
                asyncio.run(Issuer(Provider(issuer.url, CLIENT, ca_file=file), now).metadata())
            assert name in caught.value.detail


def test_file_of_certificates_that_cannot_be_read_is_told(now, tmp_path):
    with pytest.raises(ConfigError) as caught:
        Issuer(Provider("https://id.example", CLIENT, ca_file=tmp_path / "none"), now)
    assert caught.value.code == "C003"
