"""The recipients' keys under which a node has been asked to seal: checked once, then remembered for a while.

Reveals:
    To the gateway: that a key is refused. A key is public.
"""

from collections import OrderedDict
from threading import Lock

from middleplatform.crypto.encoding import bad_message
from middleplatform.crypto.key_proof import KeyProof, check_key
from middleplatform.crypto.sealing_key import SealingKey
from middleplatform.wire.frame import unpack

__all__ = ["KnownKeys"]

_KEYS_MAX = 64
_PARTS = 2


class KnownKeys:
    """Keys by id; for many threads. Safe to forget: the gateway hands a key over before each fragment that names it."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, SealingKey] = OrderedDict()
        self._documents: dict[str, bytes] = {}
        self._lock = Lock()

    def take(self, document: bytes) -> None:
        """Remember a key whose proof holds.

        Args:
            document: The published key and its holder's proof (``wire.frame.pack`` of both).

        Raises:
            ProtocolError: X001 for another form, X007 for a key under which nobody should seal.
        """
        parts = unpack(document, _PARTS)
        if len(parts) != _PARTS:
            raise bad_message("a key without its proof")
        key = SealingKey.from_bytes(parts[0])
        with self._lock:
            known = self._documents.get(key.key_id) == document
            others = [each for each in self._keys.values() if each.key_id != key.key_id]
        if not known:
            check_key(key, KeyProof.from_bytes(parts[1]), others)
        with self._lock:
            self._keys[key.key_id], self._documents[key.key_id] = key, document
            self._keys.move_to_end(key.key_id)
            while len(self._keys) > _KEYS_MAX:
                gone, _ = self._keys.popitem(last=False)
                del self._documents[gone]

    def find(self, key_id: str) -> SealingKey:
        """Return a key.

        Raises:
            ProtocolError: X001 when it was not handed over.
        """
        with self._lock:
            found = self._keys.get(key_id)
        if found is None:
            raise bad_message("a fragment names a key that was not handed over")
        return found
