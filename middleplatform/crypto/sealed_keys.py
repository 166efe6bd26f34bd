"""The recipient's private key: made, kept and used on the recipient's own machine, never at gateway or node.

Imported by cli (through gateway's faces), tests and the recipes of this package.
Spec: docs/spec/sealed-sum.md, "Keys".

Reveals:
    Nothing of the private key to whoever has the file without its passphrase. Whoever has both opens
    everything that was ever sealed under the key.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_dmq1,
    rsa_crt_iqmp,
)
from gmpy2 import mpz

from middleplatform.crypto.hazmat.blum_modulus import (
    RSA_EXPONENT,
    draw_pair,
    pair_fault,
    subgroup_base,
)
from middleplatform.crypto.hazmat.paillier import PrivateModulus
from middleplatform.crypto.key_files import (
    Passphrase,
    decode_key,
    encode_key,
    key_invalid,
    read_private,
    write_new,
)
from middleplatform.crypto.key_proof import KeyProof, check_key, prove_key
from middleplatform.crypto.sealed_pool import SUBGROUP_BITS
from middleplatform.crypto.sealing_key import KEY_BITS, KEY_BITS_DEFAULT, SealingKey
from middleplatform.errors import ProtocolError
from middleplatform.ports import Rng

if TYPE_CHECKING:
    from phe import PaillierPrivateKey

__all__ = ["KEY_BITS", "KEY_BITS_DEFAULT", "KeyProof", "OpeningKey", "SealingKey", "check_key"]

_HEAD = (
    "middleplatform opening key v1\nholder {holder}\ncreated {created}\nbase {base}\n"
    "share 1 of 1, threshold 1\nkey {key_id}\n"
)
_PATTERN = re.compile(
    rb"\Amiddleplatform opening key v1\nholder (\S{1,128})\ncreated (\S{20})\nbase (0|[1-9a-f][0-9a-f]{0,767})\n"
    rb"share 1 of 1, threshold 1\nkey ([0-9a-f]{64})\n"
)


class OpeningKey:
    """A recipient's key. Its representation shows holder and key id only.

    Args:
        private: The two primes.
        public: The public half that belongs to them.

    Raises:
        ConfigError: C006 when the primes are not sound, or not those of the public half.
    """

    __slots__ = ("_private", "public")

    def __init__(self, private: PrivateModulus, public: SealingKey) -> None:
        fault = pair_fault(private.p, private.q, public.bits)
        if fault or private.n != public.n:
            raise key_invalid("its primes are not sound", "其素数不合格")
        self._private, self.public = private, public

    def __repr__(self) -> str:
        return f"OpeningKey(holder={self.public.holder!r}, key_id={self.public.key_id!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("an opening key is neither copied nor pickled")

    @classmethod
    def generate(
        cls, bits: int, holder: str, created: str, rng: Rng, *, subgroup: bool = False
    ) -> "OpeningKey":
        """Return a fresh key; 3072 bits take about a second.

        Args:
            bits: 2048 or 3072.
            holder: Who will open; as ``SealingKey.holder``.
            created: UTC, ``YYYY-MM-DDTHH:MM:SSZ``.
            rng: The operating system's generator; a seeded one makes the key public knowledge.
            subgroup: Make a key that also serves grade C.

        Raises:
            ConfigError: C006 for another length.
            ProtocolError: X001 for another holder or time.
        """
        if bits not in KEY_BITS:
            raise key_invalid("its length must be 2048 or 3072 bits", "其长度须为 2048 或 3072 位")
        p, q, order = draw_pair(bits, rng, SUBGROUP_BITS if subgroup else 0)
        base = int(subgroup_base(p, q, order, rng)) if subgroup else 0
        return cls(PrivateModulus(p, q), SealingKey(int(p * q), holder, created, base))

    def prove(self) -> KeyProof:
        """Return the proof that lets others seal under the public half; always the same one."""
        return prove_key(self.public, self._private)

    def decrypt_all(self, ciphertexts: Sequence[mpz]) -> list[mpz]:
        """Return the plaintexts; ``sealed_sum.open_words`` checks and unpacks."""
        return self._private.decrypt_all(ciphertexts)

    def to_phe(self) -> "PaillierPrivateKey":
        """Return the key for the library phe, which opens our ciphertexts with exponent 0.

        Reveals:
            The private key, to the caller.
        """
        import phe  # noqa: PLC0415 - gateway and node run without it: its license is the GPL

        public = phe.PaillierPublicKey(self.public.n)
        return phe.PaillierPrivateKey(public, int(self._private.p), int(self._private.q))

    def save(self, path: Path, passphrase: Passphrase, rng: Rng) -> None:
        """Write a file that did not exist, mode 0600, encrypted; an existing one stays.

        Args:
            path: The file.
            passphrase: At least 12 bytes; there is no key file without one.
            rng: Draws the salt.

        Raises:
            ConfigError: C006 when the passphrase is too short or the file exists; C011 when it cannot be
                written.
        """
        exists = key_invalid(f"{path.name} exists already", f"{path.name} 已存在")
        if path.is_symlink() or path.exists():
            raise exists
        head = _HEAD.format(
            holder=self.public.holder,
            created=self.public.created,
            base=f"{self.public.base:x}",
            key_id=self.public.key_id,
        )
        content = head.encode() + encode_key(self._as_rsa(), passphrase, rng)
        write_new(path, content, rng)
        if read_private(path) != content:  # of two at once the other won
            raise exists

    def _as_rsa(self) -> RSAPrivateKey:
        """The two primes in PKCS #8, which knows RSA keys but no Paillier ones."""
        p, q = int(self._private.p), int(self._private.q)
        d = pow(RSA_EXPONENT, -1, (p - 1) * (q - 1))
        numbers = RSAPrivateNumbers(
            p,
            q,
            d,
            rsa_crt_dmp1(d, p),
            rsa_crt_dmq1(d, q),
            rsa_crt_iqmp(p, q),
            RSAPublicNumbers(RSA_EXPONENT, p * q),
        )
        return numbers.private_key()

    @classmethod
    def load(cls, path: Path, passphrase: Passphrase) -> "OpeningKey":
        """Read a key file (mode 0600 or 0400, owned by this user).

        Raises:
            ConfigError: C006 when the file is missing, a link, open to others, not encrypted, no
                opening key, or the passphrase is wrong.
        """
        content = read_private(path)
        head = _PATTERN.match(content)
        if head is None:
            raise key_invalid("it holds no opening key", "其中没有解密密钥")
        holder, created, base, key_id = (part.decode("ascii", "replace") for part in head.groups())
        rsa = decode_key(content[head.end() :], passphrase)
        if not isinstance(rsa, RSAPrivateKey):
            raise key_invalid("it holds no opening key", "其中没有解密密钥")
        numbers = rsa.private_numbers()
        try:
            public = SealingKey(numbers.p * numbers.q, holder, created, int(base, 16))
        except ProtocolError:
            raise key_invalid("it holds no opening key", "其中没有解密密钥") from None
        if public.key_id != key_id:
            raise key_invalid("its head was changed", "其文件头被改动")
        return cls(PrivateModulus(numbers.p, numbers.q), public)
