"""A made platform with a registry of keys, a recipient's key, and links that remember every byte."""

import base64
import json
import sys
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_platform
import made_world as made

from middleplatform.access import shapes
from middleplatform.access.system import SystemRng
from middleplatform.client.book import OpenedBook
from middleplatform.client.opening import open_answer
from middleplatform.crypto.sealed_keys import OpeningKey
from middleplatform.dispatch.dispatcher import Dispatcher
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.ledger.keys import KeyRegistry
from middleplatform.node.service import GATEWAY

BOTH = (("ga.person", "education"), ("ga.income", "amount"), ("city.firm", "capital"), ("city.firm", "staff"))  # fmt: skip


@cache
def opening_key(holder="li", number=0):
    """Return a recipient's key of 2048 bits; another ``number``, another key."""
    return OpeningKey.generate(2048, holder, f"2026-03-01T08:00:{number:02}Z", SystemRng())


def bundle(base=made.BUNDLE):
    """Return a bundle that lets measures leave plain or sealed."""
    for dataset, column in BOTH:
        base = made.with_column(base, dataset, column, release="both")
    return base


def texts(key):
    """Return a key and its proof as they are published."""
    return (
        base64.b64encode(key.public.to_bytes()).decode(),
        base64.b64encode(key.prove().to_bytes()).decode(),
    )


def spellings(number):
    """Return how a number may stand in a file: bytes both ways, hexadecimal, decimal."""
    big = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return [big, big[::-1], big.hex().encode(), str(number).encode()]


class RecordingLink:
    """Passes everything on and keeps what is bytes, in both directions."""

    def __init__(self, link, kept):
        self.department, self._link, self._kept = link.department, link, kept

    def __getattr__(self, name):
        act = getattr(self._link, name)

        async def kept(*args):
            found = await act(*args)
            self._keep(name, (*args, found))
            return found

        return kept

    def _keep(self, name, values):
        for value in values:
            if isinstance(value, bytes):
                self._kept.append((self.department, name, value))
            elif isinstance(value, list | tuple):
                self._keep(name, value)
            elif isinstance(value, dict):
                self._keep(name, list(value.values()))
            elif hasattr(value, "payload"):
                self._keep(name, (value.payload, value.sealed))


class SealedPlatform(made_platform.Platform):
    """A made platform whose analyst has published a key."""

    def __init__(self, folder, rows=None, rules=None):
        super().__init__(folder, rules or bundle(), rows or made_platform.complete_rows())
        self.wire = []
        links = {name: RecordingLink(link, self.wire) for name, link in self.links.items()}
        self.gateway.dispatcher = Dispatcher(links, self.keys[GATEWAY], self.pins)
        self.desk = SealingDesk(
            KeyRegistry(folder / "keys.db"), self.audit, self.keys[GATEWAY], self.clock, self.pins
        )
        self.gateway.sealing = self.desk
        self.key = opening_key()
        self.published = self.desk.publish(made.ANALYST, *texts(self.key))
        self.book = OpenedBook(None)

    def sealed(self, sql, **asked):
        """Return the answer to a question as its recipient gets it: a JSON document."""
        answer = self.ask(sql, **{"sealed_for": self.published.id, **asked})
        return json.loads(json.dumps(shapes.answer(answer)))

    def open(self, document, key=None):
        return open_answer(document, key or self.key, self.pins, self.book)
