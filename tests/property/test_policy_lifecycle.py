"""Whatever people do, in whatever order: what is in force was published, and no loosening without both approvals.

The test keeps its own book of who said yes to what, and judges with its own few lines: a threshold that falls is a
loosening, and touches the data of the department that owns the dataset.
"""

import random
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from policy_world import ANALYST, AUDITOR, BOTH, GA, HAN, LU, QIAO, SS, TAX, files, world
from strategies import examples

from middleplatform.errors import MiddleplatformError
from middleplatform.governance.four_eyes import Required, missing
from middleplatform.store.policies import Approval, Capacity

PEOPLE = (HAN, LU, QIAO, GA, TAX, SS, ANALYST, AUDITOR, BOTH)
OFFICERS = {HAN.id, LU.id, QIAO.id}
STEWARDS = {GA.id: "ga", TAX.id: "tax", SS.id: "ss"}

ACTS = {"propose": 1, "approve": 12, "publish": 6, "roll_back": 2, "reject": 1, "withdraw": 1}
THRESHOLDS = (10, 20, 30)
STEPS = 18


class Book:
    """What the test itself knows: what each proposal writes, who approved it, what is in force."""

    def __init__(self):
        self.in_force, self.version, self.closed = (20, 20), 0, set()
        self.written, self.authors, self.approved, self.versions = {}, {}, {}, {}

    def proposed(self, number, author, content):
        self.written[number], self.authors[number], self.approved[number] = content, author, set()

    def published(self, number, version):
        """Judge a publication by the book, and enter it."""
        old, new = self.in_force, self.written[number]
        owners = {
            name for name, was, will in zip(("ga", "tax"), old, new, strict=True) if will < was
        }
        said = self.approved[number] - {self.authors[number]}
        if owners:
            assert said & OFFICERS, "no second officer"
            assert owners <= {STEWARDS.get(each) for each in said}, "no data owner"
        assert version == self.version + 1
        self.in_force, self.version, self.versions[version] = new, version, new
        self.closed.add(number)


def drawn(dice, book):
    """Draw an act: mostly by somebody who might, on the newest proposal; now and then by anybody on anything."""
    name, newest = dice.choices(tuple(ACTS), tuple(ACTS.values()))[0], len(book.written)
    if not newest or (newest in book.closed and dice.random() < 0.8):
        name = "propose"
    number = newest if dice.random() < 0.9 else dice.randint(1, newest + 1)
    if name == "propose":
        return (
            name,
            dice.choice((HAN, HAN, LU, GA)),
            (dice.choice(THRESHOLDS), dice.choice(THRESHOLDS)),
        )
    if name == "roll_back":
        return name, dice.choice((HAN, LU, TAX)), dice.randint(1, book.version + 1)
    if name == "approve":
        return name, dice.choice((LU, QIAO, GA, TAX) * 4 + PEOPLE), number
    return name, dice.choice((HAN, LU, QIAO) * 4 + PEOPLE), number


def done(book, life, act):
    """Try an act, and enter what came of it; return the code of a refusal."""
    name, person, what = act
    try:
        if name == "propose":
            number = life.propose(person, files(*what, note=f"# {len(book.written)}\n"), "why")
            book.proposed(number, person.id, what)
        elif name == "approve":
            life.approve(person, what)
            book.approved[what].add(person.id)
        elif name == "publish":
            book.published(what, life.publish(person, what))
        elif name == "roll_back":
            number, version = life.roll_back(person, what, "why")
            book.proposed(number, person.id, book.versions[what])
            if version:
                book.published(number, version)
        else:
            getattr(life, name)(person, what, "why")
            book.closed.add(what)
    except MiddleplatformError as error:
        return error.code
    return ""


@examples(6)
@given(st.integers(min_value=0))
def test_the_policy_in_force_changes_by_an_approved_publication_alone(seed):
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, world(Path(folder)) as made:
        book = Book()
        for _ in range(STEPS):
            assert done(book, made.life, drawn(dice, book)) in {"", "P004", "Q041", "Q042"}
            standing = made.life.standing()
            rules = standing.bundle.datasets
            assert standing.number == book.version
            assert book.in_force == (
                rules["ga.population"].disclosure.min_units,
                rules["tax.individual_income"].disclosure.min_units,
            )
        entered = [each for each in made.entries() if "version" in each]
        kept = made.life.versions()
        assert [each["version"] for each in entered] == [each.number for each in kept]
        assert [each["digest"] for each in entered] == [each.digest for each in kept]
        assert {each["subject"] for each in made.entries()} <= OFFICERS | set(STEWARDS)


@given(
    st.builds(Required, st.booleans(), st.frozensets(st.sampled_from(("ga", "tax", "ss")))),
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(("ga", "tax")), st.sampled_from(Capacity))),
)  # fmt: skip
def test_nobody_is_two_people_and_the_author_is_none(required, given_by):
    approvals = [Approval(who, where, as_whom, "", None) for who, where, as_whom in given_by]
    still = missing(required, "a", approvals)
    heads = {each.person for each in approvals} - {"a"}
    needed = required.second_officer + len(required.owners)
    left = still.second_officer + len(still.owners)
    assert needed - left <= len(heads)
    assert still.owners <= required.owners
    assert required.second_officer >= still.second_officer
    assert missing(required, "a", []) == required
