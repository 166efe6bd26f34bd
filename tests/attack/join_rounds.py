"""A private join that a gateway drives by hand against real node processes: any step may be any other."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
from exact_demo import exact_rules

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.crypto.sum_words import round_key
from middleplatform.dispatch.dispatcher import KEY_HOLDER
from middleplatform.node.join_steps import JoinStep
from middleplatform.planner.join_plan import join_plan
from middleplatform.planner.layout import layout_of
from middleplatform.planner.plan import read_fragment
from middleplatform.wire.join_lists import GroupLists, ListHead, ListPart

_, CATALOG, BUNDLE = exact_rules()
TAXES = (
    "SELECT p.region_code AS d0, COUNT(*) AS a0, SUM(t.income_total) AS a1, SUM(p.education_years) AS a2"
    " FROM ga.population AS p JOIN tax.individual_income AS t ON t.id_number = p.id_number GROUP BY p.region_code"
)
BANDS = TAXES.replace("p.region_code", "p.region_code, p.sex").replace(
    "p.region_code, p.sex AS d0",
    "p.region_code AS d0, CASE WHEN p.education_years < 6 THEN 'a' WHEN p.education_years < 16 THEN 'b' ELSE 'c' END AS d1",
).replace(
    "GROUP BY p.region_code, p.sex",
    "GROUP BY p.region_code, CASE WHEN p.education_years < 6 THEN 'a' WHEN p.education_years < 16 THEN 'b' ELSE 'c' END",
)  # fmt: skip
YEARS = (
    "SELECT p.sex AS d0, h.visit_year AS d1, COUNT(*) AS a0, SUM(h.medical_cost) AS a1 FROM ga.population AS p"
    " JOIN health.encounter_year AS h ON h.id_number = p.id_number GROUP BY p.sex, h.visit_year"
)


class JoinRound:
    """One private join, driven by hand."""

    def __init__(self, hostile, sql=TAXES, *, key_holder=True, **changes):
        self.hostile, self.sql = hostile, sql
        cell, facts = read_fragment(sql, CATALOG)
        drawn = hostile.fragment("ga", sql, protocol="private_join")
        asking = Asking(drawn.subject, drawn.purpose, datetime.now(UTC), project=drawn.project)
        parameters = authorize(facts, asking, BUNDLE, CATALOG).disclosure
        self.plan = join_plan(
            cell, layout_of(cell, CATALOG), CATALOG, BUNDLE, parameters, sealed=False
        )
        held = [KEY_HOLDER] if key_holder else []
        self.cohort = tuple(sorted([*self.plan.departments, *held]))
        self.fragment = replace(drawn, cohort=self.cohort, **changes)
        self.key = round_key(self.fragment)
        self.hellos, self.sealed, self.heads, self.lists = {}, {}, {}, {}
        hostile.rounds.append(self)

    # --- one step at one party; what comes back is said, not raised ----------------------------------------------------

    def open(self, name, **changes):
        raw = replace(self.fragment, **{"department": name, **changes}).to_bytes()
        return self._call(name, "join_open", raw, self.hostile.signed(raw))

    def agree(self, name, hellos=None):
        told = [self.hellos[each] for each in self.cohort] if hellos is None else hellos
        return self._call(name, "join_agree", self.key, told)

    def list(self, name, sealed=...):
        key = self.sealed.get(name) if sealed is ... else sealed
        return self._call(name, "join_list", self.key, key)

    def rows(self, name, part=0):
        return self._call(name, "join_rows", self.key, part)

    def sums(self, name, side, raw):
        return self._call(name, "join_sums", self.key, side, raw)

    def reveal(self, name, codes=()):
        return self._call(name, "join_reveal", self.key, codes)

    def points(self, name):
        return self._call(name, "join_points", self.key)

    def blind(self, name, owner, raw):
        return self._call(name, "join_blind", self.key, owner, raw)

    def drop(self):
        for name in self.cohort:
            self._call(name, "drop", self.key)

    def _call(self, name, step, *told):
        return self.hostile.call(name, lambda link: getattr(link, step)(*told))

    # --- honest steps ---------------------------------------------------------------------------------------------------

    def until(self, step):
        """Take every step up to and with ``step`` everywhere, as an honest gateway does."""
        departments = self.plan.departments
        if step >= JoinStep.OPEN:
            self.hellos = self._each(self.open, self.cohort)
        if step >= JoinStep.AGREE:
            found = self._each(self.agree, self.cohort)
            self.sealed = {name: raw for each in found.values() for name, raw in each.items()}
        if step >= JoinStep.LIST:
            found = self._each(self.list, departments)
            self.heads = {name: ListHead.from_bytes(raw) for name, raw in found.items()}
        if step >= JoinStep.ROWS:
            found = self._each(self.rows, departments)
            self.lists = {name: ListPart.from_bytes(raw, self.heads[name]) for name, raw in found.items()}  # fmt: skip
        return self

    def _each(self, step, names):
        found = {name: step(name) for name in names}
        assert {said.code for said in found.values()} == {""}, found
        return {name: said.value for name, said in found.items()}

    # --- groups ---------------------------------------------------------------------------------------------------------

    def owner(self, side):
        (name,) = self.plan.sides[side].departments
        return name

    def matched(self, side):
        """Return the rows of a side's list whose token another list has."""
        others = {token.tobytes() for name, each in self.lists.items() if name != self.owner(side) for token in each.tokens}  # fmt: skip
        return [row for row, token in enumerate(self.lists[self.owner(side)].tokens) if token.tobytes() in others]  # fmt: skip

    def by_code(self, side):
        """Return the matched rows of a side, by the place of their code: groups as an honest gateway could have them."""
        codes = self.lists[self.owner(side)].codes
        found = {}
        for row in self.matched(side):
            found.setdefault(int(codes[row]), []).append(row)
        return list(found.values())

    def groups(self, side, groups=None, **changes):
        """Return what the helper of a side is asked: of these groups of places, or of those of its own codes."""
        groups = self.by_code(side) if groups is None else groups
        head = self.heads[self.owner(side)]
        starts = np.cumsum([0, *map(len, groups)], dtype=np.uint32)
        places = np.array([row for group in groups for row in group], dtype=np.uint32)
        marks = (head.marks,) if head.marks else ()
        made = GroupLists(side, (self.owner(side),), (head.note,), (starts,), (places,), marks=marks)  # fmt: skip
        return replace(made, **changes).to_bytes()
