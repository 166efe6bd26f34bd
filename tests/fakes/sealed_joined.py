"""The made departments of ``made_join`` with an analyst who has published a key, and links that remember every byte."""

import json
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_join
import made_joined
import made_world as made

from middleplatform.access import shapes
from middleplatform.client.book import OpenedBook
from middleplatform.client.opening import open_answer
from middleplatform.gateway.sealed_desk import SealingDesk
from middleplatform.ledger.keys import KeyRegistry
from middleplatform.node.service import GATEWAY
from middleplatform.wire.frame import pack
from tests.fakes.sealed_world import RecordingLink, opening_key, texts

MEASURES = (
    ("ga.person", "education"), ("tax.payer", "paid"), ("ga.income", "amount"), ("city.firm", "staff"), ("city.firm", "capital"),
)  # fmt: skip


def bundle(join="helper", **changes):
    """Return a bundle that lets every measure leave plain or sealed."""
    told = made_join.bundle(join, **changes)
    for dataset, column in MEASURES:
        told = made.with_column(told, dataset, column, release="both")
    return told


def document(key):
    """Return a key as nodes are handed it."""
    return pack([key.public.to_bytes(), key.prove().to_bytes()])


def large_rows():
    """Return rows whose payments are so large that each, and each sum of them, takes seven bytes or more."""
    found = made_join.rows()
    found["payer"] = [
        (person, district, Decimal(10**15 + 7 * 10**12 * place + place) / 100)
        for place, (person, district, _) in enumerate(found["payer"])
    ]
    return found


class SealedJoined(made_joined.Joined):
    """A platform of made departments, with a recipient."""

    def __init__(self, folder, told=None, held=None, **more):
        super().__init__(folder, told or bundle(), held, **more)
        self.wire = []
        self.links = {name: RecordingLink(link, self.wire) for name, link in self.links.items()}
        self.use()
        parties = self.parties
        self.desk = SealingDesk(
            KeyRegistry(folder / "keys.db"), self.audit, parties.keys[GATEWAY], parties.clock, parties.pins
        )  # fmt: skip
        self.gateway.sealing = self.desk
        self.key = opening_key()
        self.published = self.desk.publish(made.ANALYST, *texts(self.key))
        self.book = OpenedBook(None)

    def request(self, sql, *, sealed=True):
        told = {"sealed_for": self.published.id} if sealed else {}
        return self.gateway.request(sql, made.ANALYST, "statistics", **told)

    def answer(self, sql):
        """Return the sealed answer to a question, as the gateway has it."""
        return made.wait(self.gateway.submit(self.request(sql)))

    def sealed(self, sql):
        """Return the sealed answer as its recipient gets it: a JSON document."""
        return json.loads(json.dumps(shapes.answer(self.answer(sql))))

    def open(self, told):
        return open_answer(told, self.key, self.parties.pins, self.book)

    def explained(self, sql):
        return self.gateway.explain(self.request(sql))

    def events(self):
        return [entry.record.event for entry in self.audit.entries()]


def with_least(told, least):
    """Return ``told`` with another threshold everywhere."""
    datasets = {
        name: replace(rule, disclosure=replace(rule.disclosure, min_units=least))
        for name, rule in told.datasets.items()
    }
    return replace(told, datasets=datasets)
