"""The registry of recipients' keys: what it refuses, what it keeps, and what it compares new keys with."""

from dataclasses import replace
from pathlib import Path

import pytest

from middleplatform.crypto.encoding import join_parts
from middleplatform.crypto.key_proof import prove_key
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.errors import ConfigError, QueryError
from middleplatform.ledger.keys import KeyRegistry
from tests.fakes.sealed_world import opening_key

AT = "2026-03-01T08:00:00+00:00"


@pytest.fixture
def registry(tmp_path):
    opened = KeyRegistry(tmp_path / "keys.db")
    yield opened
    opened.close()


def parts(key):
    return key.public.to_bytes(), key.prove().to_bytes()


def refusal(registry, document, proof, login="li", replaces=""):
    with pytest.raises(QueryError) as caught:
        registry.publish(document, proof, login, "drc", AT, replaces)
    assert caught.value.code == "Q040"
    assert registry.all() == ()
    return caught.value.message("en")


def test_a_sound_key_is_kept_with_who_published_it_and_when(registry, tmp_path):
    key = opening_key()
    found = registry.publish(*parts(key), "li", "drc", AT)
    assert (found.id, found.login, found.department, found.published_at, found.bits) == (key.public.key_id, "li", "drc", AT, 2048)  # fmt: skip
    assert SealingKey.from_bytes(found.document) == key.public
    again = KeyRegistry(tmp_path / "keys.db")
    assert again.all() == registry.all() == (found,)
    again.close()
    assert oct((tmp_path / "keys.db").stat().st_mode)[-3:] == "600"


def test_a_key_for_another_holder_than_its_publisher_is_refused(registry):
    assert "another holder" in refusal(registry, *parts(opening_key()), login="wang")


def test_a_key_with_the_proof_of_another_is_refused(registry):
    key, other = opening_key(), opening_key("li", 1)
    assert "proof" in refusal(registry, key.public.to_bytes(), other.prove().to_bytes())


def test_a_proof_with_one_root_changed_is_refused(registry):
    key = opening_key()
    proof = key.prove()
    changed = replace(proof, nth=(proof.nth[0] + 1, *proof.nth[1:]))
    assert "proof" in refusal(registry, key.public.to_bytes(), changed.to_bytes())


def test_a_short_modulus_has_not_the_form_of_a_key(registry):
    short = join_parts("MPSK1", "li", "2026-03-01T08:00:00Z", b"\xff" * 128, b"")
    assert "2048 or 3072" in refusal(registry, short, parts(opening_key())[1])


@pytest.mark.parametrize("raw", [b"", b"\x00" * 40, b"MPSK1"])
def test_noise_is_no_key(registry, raw):
    assert "form" in refusal(registry, raw, raw)


def test_a_modulus_of_small_factors_is_refused(registry):
    n = 2**2047 + 1
    n += 3 - n % 3 if n % 3 else 0
    n += 0 if n % 2 else 3
    weak = SealingKey(n, "li", "2026-03-01T08:00:00Z")
    message = refusal(registry, weak.to_bytes(), opening_key().prove().to_bytes())
    assert "factor" in message or "product" in message


def test_a_key_with_a_factor_of_a_known_one_is_refused(registry):
    """Two keys with a common prime: whoever has both moduli factors them."""
    key = opening_key()
    registry.publish(*parts(key), "li", "drc", AT)
    prime = key.to_phe().p
    other = opening_key("li", 1).to_phe()
    for second in (other.p, other.q):
        n = prime * second
        if n.bit_length() == 2048:
            break
    shared = SealingKey(n, "wang", "2026-03-01T08:00:00Z")
    with pytest.raises(QueryError) as caught:
        registry.check(shared.to_bytes(), opening_key("li", 1).prove().to_bytes())
    assert "factor in common" in caught.value.message(
        "en"
    ) or "factor with another" in caught.value.message("en")


def test_a_modulus_is_published_once_even_under_another_date(registry):
    key = opening_key()
    registry.publish(*parts(key), "li", "drc", AT)
    later = SealingKey(key.public.n, "li", "2026-03-02T08:00:00Z")
    proof = prove_key(later, key._private)
    with pytest.raises(QueryError) as caught:
        registry.publish(later.to_bytes(), proof.to_bytes(), "li", "drc", AT)
    assert "before" in caught.value.message("en")


def test_a_replaced_key_serves_no_longer_and_is_not_replaced_twice(registry):
    first, second, third = (opening_key("li", number) for number in range(3))
    registry.publish(*parts(first), "li", "drc", AT)
    found = registry.publish(*parts(second), "li", "drc", AT, replaces=first.public.key_id)
    old = registry.find(first.public.key_id)
    assert (old.revoked_at, old.reason) == (AT, f"replaced by {found.id}")
    with pytest.raises(QueryError):
        registry.publish(*parts(third), "li", "drc", AT, replaces=first.public.key_id)
    assert len(registry.all()) == 2


def test_a_key_is_not_replaced_by_somebody_elses(registry):
    registry.publish(*parts(opening_key()), "li", "drc", AT)
    with pytest.raises(QueryError):
        registry.publish(*parts(opening_key("wang")), "wang", "drc", AT, replaces=opening_key().public.key_id)  # fmt: skip


def test_withdrawing_twice_keeps_the_first_moment(registry):
    found = registry.publish(*parts(opening_key()), "li", "drc", AT)
    registry.revoke(found.id, "li", "2026-04-01T00:00:00+00:00", "lost")
    again = registry.revoke(found.id, "wang", "2026-05-01T00:00:00+00:00", "found")
    assert (again.revoked_at[:7], again.revoked_by, again.reason) == ("2026-04", "li", "lost")
    with pytest.raises(QueryError) as caught:
        registry.revoke("0" * 64, "li", AT)
    assert caught.value.code == "Q041"


def test_a_registry_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(ConfigError) as caught:
        KeyRegistry(tmp_path / "nowhere" / "keys.db")
    assert caught.value.code == "C011"
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        KeyRegistry(Path(tmp_path / "link"))
