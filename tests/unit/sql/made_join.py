"""Made departments whose rows are joined in private, driven step by step by hand: every step may be another one."""

import itertools
import json
from dataclasses import replace
from decimal import Decimal

import made_world as made
import numpy as np
from made_platform import SeededRng, StillClock, complete_rows, part_of

from connectors.duckdb import DuckDBConnector
from middleplatform.crypto.curve_workers import Workers
from middleplatform.crypto.identity import IdentityKey, PinnedKeys
from middleplatform.crypto.messages import LabelList
from middleplatform.crypto.sum_words import round_key
from middleplatform.crypto.used_rounds import MemoryUsedRounds
from middleplatform.ledger.history import History
from middleplatform.model.plan import Fragment
from middleplatform.model.query import JoinKind
from middleplatform.node.join_round import JoinRounds
from middleplatform.node.journal import Journal
from middleplatform.node.measure import Source, Sources
from middleplatform.node.served import ServedFragments
from middleplatform.node.service import GATEWAY, KEY_HOLDER, Node
from middleplatform.planner.join_plan import join_plan
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.planner.side_words import width, word_totals
from middleplatform.sql.render import fragment as text_of
from middleplatform.wire.join_lists import GroupLists, GroupSums, ListHead, ListPart, Points

TABLES = {
    "ga": ("person",), "tax": ("payer",), "hr": ("income",), "pub": ("place",),
    "c1": ("firm", "visit"), "c2": ("firm", "visit"), "c3": ("firm", "visit"),
}  # fmt: skip
ROWS_BY = {"ga.person": ("id",), "tax.payer": ("id",), "city.firm": ("code",), "pub.place": ("code",)}  # fmt: skip


def catalog():
    """Return the made catalogue, where rows have what identifies them and incomes lie in a department of their own."""
    datasets = {
        name: replace(dataset, rows_by=ROWS_BY.get(name, ()))
        for name, dataset in made.CATALOG.datasets.items()
    }
    datasets["ga.income"] = replace(datasets["ga.income"], held_by=("hr",))
    return replace(made.CATALOG, datasets=datasets, digest="d" * 64)


CATALOG = catalog()


def bundle(join="helper", **changes):
    """Return a bundle under which everything may be joined and nothing but small cells is withheld."""
    told = {"dominance": (), "p_percent": 0, "homogeneity": False, "history": False, **changes}
    datasets = {
        name: replace(rule, join=join, disclosure=replace(rule.disclosure, **told))
        for name, rule in made.BUNDLE.datasets.items()
    }
    return replace(made.BUNDLE, datasets=datasets)


def rows():
    """Return rows of which not all match; one person pays twice as registered."""
    found = complete_rows()
    found["payer"] = [row for row in found["payer"] if int(row[0][1:]) % 4] + [
        (f"Q{number:03}", "东", Decimal(5)) for number in range(30)
    ]
    found["person"] = [row for row in found["person"] if int(row[0][1:]) % 7]
    found["place"] = [row for row in found["place"] if int(row[0][1:]) % 5]
    return found


class Parties:
    """Nodes of all departments and of a key holder."""

    def __init__(self, folder, bundle, held=None, **limits):
        self.bundle, self.clock, self.numbers = bundle, StillClock(), itertools.count()
        self.rows = rows() if held is None else held
        names = (GATEWAY, KEY_HOLDER, *TABLES)
        self.keys = {name: IdentityKey.generate(SeededRng(name)) for name in names}
        self.pins = PinnedKeys({name: key.public_key for name, key in self.keys.items()})
        self.connectors, self.nodes = [], {}
        for name in (KEY_HOLDER, *TABLES):
            self.nodes[name] = self._node(folder, name)
        self.rounds = {
            name: JoinRounds(node, workers=Workers.inline(), **limits)
            for name, node in self.nodes.items()
        }

    def _node(self, folder, name):
        source = Sources(name, {})
        if name in TABLES:
            own = part_of(self.rows, name) if name.startswith("c") else self.rows
            path = made.write_database(folder / f"{name}.duckdb", own, TABLES[name])
            connector = DuckDBConnector(path, threads=1, memory_mb=256)
            self.connectors.append(connector)
            source = Source(name, connector, made.EXECUTION)
        return Node(
            name, source, CATALOG, self.bundle, self.keys[name], self.pins, History(None), MemoryUsedRounds(),
            ServedFragments(None, self.clock),
            Journal.open(folder / f"{name}.node", name, "made.example", self.clock, SeededRng(f"log {name}")),
            self.clock, SeededRng(f"rng {name}"),
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for rounds in self.rounds.values():
            rounds.close()
        for connector in self.connectors:
            connector.close()
        for node in self.nodes.values():
            node.served.close()
            node.journal.close()

    def know(self, *, key_holder):
        """Have all parties know the key holder, or that the platform has none."""
        known = {name: key.public_key for name, key in self.keys.items()}
        if not key_holder:
            del known[KEY_HOLDER]
        self.pins.replace(known)

    def signed(self, fragment, key=GATEWAY):
        """Return a fragment's bytes and a signature over them."""
        raw = fragment.to_bytes()
        return raw, self.keys[key].sign("fragment", raw)

    def last(self, name):
        """Return the last entry of a party's log."""
        record = list(self.nodes[name].journal.log.entries())[-1].record
        return record.event, record.body

    def join(self, sql, **changes):
        """Return a join under way, that nobody was told of yet."""
        return Join(self, sql, **changes)


class Join:
    """One private join: the gateway's part, slow and plain."""

    def __init__(self, parties, sql, *, key_holder=True, **changes):
        self.parties = parties
        parties.know(key_holder=key_holder)
        (self.cell,) = made.bound(sql, CATALOG).cells
        self.sql = text_of(self.cell)
        self.cell, _ = read_fragment(self.sql, CATALOG)
        self.layout = layout_of(self.cell, CATALOG)
        parameters = parties.bundle.datasets["ga.person"].disclosure
        self.plan = join_plan(
            self.cell, self.layout, CATALOG, parties.bundle, parameters,
            sealed=bool(changes.get("sealed_for")),
        )  # fmt: skip
        self.key_holder = KEY_HOLDER if key_holder else ""
        self.cohort = tuple(sorted({*self.plan.departments, *([KEY_HOLDER] if key_holder else [])}))
        self.changes = {"query_id": f"q{next(parties.numbers)}", **changes}
        self.key = round_key(self.fragment(self.cohort[0]))
        self.rounds = {name: parties.rounds[name] for name in self.cohort}

    def fragment(self, department, **changes):
        values = {
            "attempt": 1, "number": 0, "department": department, "protocol": "private_join", "cohort": self.cohort,
            "sql": self.sql, "subject": made.ANALYST, "purpose": "statistics", "project": "drc",
            "policy_digest": self.parties.bundle.digest, "issued_at": made.NOW.isoformat(),
        }  # fmt: skip
        return Fragment(**{**values, **self.changes, **changes})

    # --- steps ----------------------------------------------------------------------------------------------------

    def open(self):
        signed = {name: self.parties.signed(self.fragment(name)) for name in self.cohort}
        self.hellos = [self.rounds[name].join_open(*signed[name]) for name in self.cohort]
        return self

    def agree(self):
        found = [self.rounds[name].join_agree(self.key, self.hellos) for name in self.cohort]
        self.sealed = {name: raw for each in found for name, raw in each.items()}
        return self

    def lists(self):
        self.heads = {
            name: ListHead.from_bytes(self.rounds[name].join_list(self.key, self.sealed.get(name)))
            for name in self.plan.departments
        }
        return self

    def parts(self):
        self.lists_of = {}
        for name, head in self.heads.items():
            found = [
                ListPart.from_bytes(self.rounds[name].join_rows(self.key, number), head)
                for number in range(head.parts)
            ]
            self.lists_of[name] = (
                np.concatenate([each.tokens for each in found]),
                np.concatenate([each.codes for each in found]),
                np.concatenate([each.words for each in found]),
                np.concatenate([each.places for each in found]),
                [np.concatenate(each) for each in zip(*(part.seconds for part in found), strict=True)],
            )  # fmt: skip
        return self

    def ready(self):
        """Take every step up to the lists."""
        return self.open().agree().lists().parts()

    def blind(self):
        """Send the points around and put tokens in the place of the missing ones."""
        from middleplatform.crypto.blinded import route  # noqa: PLC0415 - of this protocol only

        names = self.plan.departments
        points = {name: self.rounds[name].join_points(self.key) for name in names}
        for owner in names:
            raw = points[owner]
            for name in route(owner, names):
                raw = self.rounds[name].join_blind(self.key, owner, raw)
            tokens = Points.from_bytes(raw).values
            _, codes, words, places, seconds = self.lists_of[owner]
            self.lists_of[owner] = (tokens[places], codes, words, places, seconds)
        return self

    # --- matching -------------------------------------------------------------------------------------------------

    def match(self):
        """Return the tuples of the join as (department, row) or None by side, and the codes of each."""
        by_side = []
        for side in self.plan.sides:
            known = {}
            for name in side.departments:
                for row, token in enumerate(self.lists_of[name][0]):
                    known.setdefault(token.tobytes(), []).append((name, row))
            by_side.append(known)
        tuples = []
        for token in dict.fromkeys(token for known in by_side for token in known):
            rows = [known.get(token, []) for known in by_side]
            kept = True
            for side, found in zip(self.plan.sides, rows, strict=True):
                if side.kind is JoinKind.ANTI:
                    kept, found[:] = kept and not found, [None]
                elif side.kind is JoinKind.LEFT:
                    found[:] = found or [None]
            tuples += itertools.product(*rows) if kept else []
        return tuples

    def code(self, side, row):
        if not self.plan.sides[side].dimensions:
            return b""
        if row is None:
            return self.heads[self.plan.sides[side].departments[0]].missing
        name, place = row
        return self.heads[name].codes[self.lists_of[name][1][place]]

    def cells(self):
        """Return tuples by cell, small cells left out."""
        found = {}
        for rows in self.match():
            found.setdefault(
                tuple(self.code(side, row) for side, row in enumerate(rows)), []
            ).append(rows)
        return {key: rows for key, rows in found.items() if len(rows) >= self.plan.min_units}

    def groups(self, side, cells):
        """Return what the helper is sent for a side: cells whose side has rows enough, and the message."""
        own = self.plan.sides[side]
        chosen = {key: [rows[side] for rows in found if rows[side]] for key, found in cells.items()}
        chosen = {key: each for key, each in chosen.items() if len(each) >= self.plan.min_units}
        starts, positions = [], []
        for name in own.departments:
            lists = [sorted(row for owner, row in each if owner == name) for each in chosen.values()]  # fmt: skip
            starts.append(np.cumsum([0, *map(len, lists)], dtype=np.uint32))
            positions.append(np.array(list(itertools.chain(*lists)), dtype=np.uint32))
        notes = tuple([self.heads[name].note for name in own.departments])
        marks = tuple([self.heads[name].marks for name in own.departments])
        told = (own.departments, notes, tuple(starts), tuple(positions))
        return list(chosen), GroupLists(side, *told, marks=marks if any(marks) else ())

    def totals(self, cells):
        """Return by cell the totals of all words, through the helpers."""
        found = {key: {} for key in cells}
        for side in self.plan.sides:
            if not side.words:
                continue
            keys, asked = self.groups(side.number, cells)
            helper = self.plan.helper(side.number, self.key_holder)
            raw = self.rounds[helper].join_sums(self.key, side.number, asked.to_bytes())
            sums = GroupSums.from_bytes(raw, len(keys), width(side)).words.copy()
            for name, starts, positions in zip(side.departments, asked.starts, asked.positions, strict=True):  # fmt: skip
                for group in range(len(keys)):
                    own = self.lists_of[name][2][positions[starts[group] : starts[group + 1]]]
                    sums[group] += own.sum(axis=0, dtype=np.uint64)
            for word, totals in word_totals(side, sums).items():
                for key, total in zip(keys, totals, strict=True):
                    found[key][word] = total
        return found

    def labels(self, cells):
        """Return by cell its labels in order of the dimensions, and everybody's receipts; ends the join."""
        receipts, names = {}, {}
        for party in self.cohort:
            side = self.plan.side_of(party)
            wanted = set() if side is None else {key[side.number] for key in cells} - {b""}
            own = set() if side is None else {*self.heads[party].codes, self.heads[party].missing}
            raw, receipts[party] = self.rounds[party].join_reveal(self.key, sorted(wanted & own))
            message = LabelList.from_bytes(raw)
            names |= {(side.number if side else -1, code): json.loads(label) for code, label in zip(message.codes, message.labels, strict=True)}  # fmt: skip
        found = {}
        for key in cells:
            values = {}
            for side in self.plan.sides:
                if side.dimensions:
                    values |= dict(zip(side.dimensions, names[side.number, key[side.number]], strict=True))  # fmt: skip
            found[key] = tuple(values[number] for number in sorted(values))
        return found, receipts
