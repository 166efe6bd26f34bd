"""The recipient's key: sound, encrypted at rest, and never in anything that is printed or sent."""

import copy
import pickle
import stat
import subprocess
import sys

import gmpy2
import numpy as np
import pytest

from middleplatform.crypto.hazmat.blum_modulus import _draw_prime, pair_fault
from middleplatform.crypto.hazmat.paillier import PrivateModulus
from middleplatform.crypto.sealed_keys import OpeningKey, SealingKey
from middleplatform.crypto.sealed_sum import seal
from middleplatform.errors import ConfigError, ProtocolError

CREATED = "2026-01-01T00:00:00Z"
WORDS = b"correct horse battery"


def passphrase():
    return WORDS


@pytest.fixture(scope="module")
def saved(opening_key, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "audit.key"
    opening_key.save(path, passphrase, _Rng())
    return path


class _Rng:
    def token_bytes(self, count):
        return bytes(range(count))


def refusal_of(work):
    with pytest.raises(ConfigError) as refusal:
        work()
    return refusal.value.code


@pytest.mark.parametrize("bits", [2048, 3072])
@pytest.mark.parametrize("subgroup", [False, True])
def test_a_fresh_key_is_sound(seeded_rng, bits, subgroup):
    rng = seeded_rng(f"fresh {bits}")
    key = OpeningKey.generate(bits, "audit", CREATED, rng, subgroup=subgroup)
    private = key._private
    assert pair_fault(private.p, private.q, bits) == ""
    assert key.public.bits == bits
    assert key.public.n == private.p * private.q
    assert (key.public.base != 0) == subgroup


@pytest.mark.parametrize("bits", [1024, 2047, 4096])
def test_other_lengths_are_refused(seeded_rng, bits):
    rng = seeded_rng("bits")
    assert refusal_of(lambda: OpeningKey.generate(bits, "audit", CREATED, rng)) == "C006"


def test_each_unsound_pair_of_primes_has_its_fault(opening_key, seeded_rng):
    p, q = opening_key._private.p, opening_key._private.q
    near = gmpy2.next_prime(p + 2**500)
    while near % 4 != 3:
        near = gmpy2.next_prime(near)
    one = gmpy2.next_prime(q)
    while one % 4 != 1:
        one = gmpy2.next_prime(one)
    composite = p + 4 * 3 * 5 * 7
    while gmpy2.is_prime(composite) or gmpy2.gcd(composite - 1, q - 1) != 2:
        composite += 4
    shared = [_draw_prime(1024, seeded_rng(each), gmpy2.mpz(3)) for each in "ab"]
    faults = {
        "size": (p >> 1 | 1, q),
        "distance": (p, near),
        "residue": (p, one),
        "prime": (composite, q),
        "common": shared,
    }
    assert {name: pair_fault(*pair, 2048) for name, pair in faults.items()} == {
        name: name for name in faults
    }


def test_an_opening_key_of_other_primes_is_refused(opening_key, make_opening_key):
    other = make_opening_key("other")
    assert refusal_of(lambda: OpeningKey(other._private, opening_key.public)) == "C006"
    weak = PrivateModulus(7, 11)
    assert refusal_of(lambda: OpeningKey(weak, opening_key.public)) == "C006"


def test_the_file_gives_the_key_back(saved, opening_key):
    loaded = OpeningKey.load(saved, passphrase)
    assert loaded.public == opening_key.public
    assert loaded._private.p == opening_key._private.p


def test_the_file_is_its_owners_alone_and_holds_no_prime(saved, opening_key):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    content = saved.read_bytes()
    assert b"ENCRYPTED" in content
    for prime in (opening_key._private.p, opening_key._private.q):
        assert f"{prime:x}".encode() not in content


def test_an_existing_file_is_never_replaced(saved, opening_key, seeded_rng):
    before = saved.read_bytes()
    rng = seeded_rng("again")
    assert refusal_of(lambda: opening_key.save(saved, passphrase, rng)) == "C006"
    assert saved.read_bytes() == before


def test_a_short_passphrase_is_refused_and_leaves_no_file(tmp_path, opening_key, seeded_rng):
    path = tmp_path / "audit.key"
    rng = seeded_rng("short")
    assert refusal_of(lambda: opening_key.save(path, lambda: b"short", rng)) == "C006"
    assert not path.exists()


def test_a_wrong_passphrase_is_refused(saved):
    assert refusal_of(lambda: OpeningKey.load(saved, lambda: b"another passphrase")) == "C006"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"holder audit_office", b"holder audit_offics"),
        (b"created 2026", b"created 2027"),
        (b"share 1 of 1", b"share 1 of 2"),
        (b"opening key v1", b"opening key v2"),
        (b"\nbase ", b"\nbase 1"),
        (b"\nkey ", b"\nkey 0"),
        (b"-----BEGIN", b"----BEGIN"),
    ],
)
def test_a_changed_file_is_refused(saved, tmp_path, old, new):
    content = saved.read_bytes()
    assert old in content
    path = tmp_path / "changed.key"
    path.touch(mode=0o600)
    path.write_bytes(content.replace(old, new))
    assert refusal_of(lambda: OpeningKey.load(path, passphrase)) == "C006"


def test_a_file_that_others_may_read_is_refused(saved, tmp_path):
    path = tmp_path / "open.key"
    path.write_bytes(saved.read_bytes())
    path.chmod(0o640)
    assert refusal_of(lambda: OpeningKey.load(path, passphrase)) == "C006"


def test_the_private_key_shows_nowhere(opening_key):
    shown = repr(opening_key)
    assert str(opening_key._private.p)[:20] not in shown
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            spread(opening_key)


def test_the_public_half_comes_back_from_its_bytes(opening_key, make_opening_key):
    for key in (opening_key.public, make_opening_key("other").public):
        assert SealingKey.from_bytes(key.to_bytes()) == key
    assert len(opening_key.public.key_id) == 64


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: raw.replace(b"MPSK1", b"MPSK2"),
        lambda raw: raw.replace(b"audit_office", b"audit office"),
        lambda raw: raw.replace(b"2026-01-01T", b"2026-01-01 "),
        lambda raw: raw.replace(b"\x00\x00\x01\x00", b"\x00\x00\x01\x01\x00", 1),
        lambda _: b"",
    ],
)
def test_a_public_half_in_other_bytes_is_refused(opening_key, change):
    with pytest.raises(ProtocolError) as refusal:
        SealingKey.from_bytes(change(opening_key.public.to_bytes()))
    assert refusal.value.code == "X001"


@pytest.mark.parametrize("n", [0, 1, 2**2047, 2**2048 + 1, 2**3071, 2**1023 + 1])
def test_a_modulus_of_another_form_is_refused(n):
    with pytest.raises(ProtocolError) as refusal:
        SealingKey(n, "audit", CREATED)
    assert refusal.value.code == "X001"


def test_the_public_half_alone_seals_without_the_gpl_library():
    code = (
        "import sys; import middleplatform.crypto.tickets, middleplatform.crypto.sealed_sum; "
        "print('phe' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("slot_bytes", [5, 8, 9])
def test_the_script_of_the_page_opens_a_file_with_phe_alone(
    saved, opening_key, tmp_path, phe_script, slot_bytes
):
    kind = np.uint64 if slot_bytes == 9 else np.int64
    words = np.array([3, 0, 70, 2**38, *range(60)], dtype=kind)
    words = words if slot_bytes == 9 else words * np.int64(-1)
    sealed = seal(words, opening_key.public, parties=1, slot_bytes=slot_bytes)
    (tmp_path / "total.bin").write_bytes(sealed.to_bytes())
    (tmp_path / "open_sealed.py").write_text(phe_script)
    done = subprocess.run(
        [sys.executable, "-I", "open_sealed.py", str(saved), "total.bin"],
        cwd=tmp_path,
        input=WORDS.decode(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [
        int(each) for each in done.stdout.removeprefix("passphrase: ").split()
    ] == words.tolist()
    assert "middleplatform" not in phe_script


def test_ten_lines_of_the_script_open(phe_script):
    _, opening = phe_script.split("# Ten lines from here")
    lines = [line for line in opening.splitlines()[1:] if line.strip()]
    assert len(lines) == 10


def test_the_specification_shows_the_same_ten_lines(phe_script, request):
    page = request.config.rootpath / "docs/spec/sealed-sum.md"
    shown = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert phe_script.endswith(shown)
    assert len(shown.splitlines()) == 10


@pytest.fixture(scope="module")
def phe_script(request):
    page = (request.config.rootpath / "docs/howto/open-with-phe.md").read_text(encoding="utf-8")
    return page.split("```python\n")[1].split("```")[0]
