"""The difference of two policies is the one that judging every cell on its own finds."""

import random
from collections import Counter
from dataclasses import astuple, replace
from datetime import date
from decimal import Decimal

import policy_mutations as made
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.authorization.contexts import judge_use
from middleplatform.authorization.sealed import release_refusals
from middleplatform.governance.cells import Cell, Kind, axes, verdicts
from middleplatform.governance.diff import diff
from middleplatform.governance.four_eyes import required_approvals
from middleplatform.governance.settings import settings as setting_changes
from middleplatform.model.query import Clause, ColumnUse, Context, QueryFacts
from middleplatform.model.request import Role, Subject
from middleplatform.policy import canonical_form
from middleplatform.policy.stricter import loosened
from policies.documents import digest


def judged(bundle, subject, purpose, facts, moment):
    """Return what comes of a statement with these facts, judged whole and on its own."""
    decision = authorize(facts, Asking(subject, purpose, moment), bundle, made.CATALOG)
    refused = [release_refusals(facts, bundle, sealed=sealed) for sealed in (False, True)]
    against = [reason.rule for reason in decision.reasons if reason.rule != "G1"]
    if against or all(refused):
        return Kind.REFUSED, against[0] if against else refused[0][0].rule
    inside = decision
    if Role.ANALYST in subject.roles or Role.DEPARTMENT_STEWARD in subject.roles:
        there = replace(subject, roles=subject.roles | {Role.DEPARTMENT_STEWARD})
        inside = authorize(facts, Asking(there, purpose, moment, inside=True), bundle, made.CATALOG)
    return (
        Kind.PERMITTED if decision.permit else Kind.NEEDS_GRANT,
        tuple((each.kind, each.column, each.argument) for each in decision.obligations),
        [not each for each in refused],
        (decision.disclosure.min_units, decision.threshold_owner, inside.disclosure.min_units),
    )


def asked(dataset, column, question):
    """Return the facts of a statement that asks nothing but ``question``."""
    if question.context is None:
        return QueryFacts((), (), (dataset,), 0, 0)
    clause = Clause.WHERE if question.context is Context.COMPARE else Clause.SELECT
    use = ColumnUse(
        dataset, column, question.context, clause, question.op, question.literals, question.per_unit
    )
    return QueryFacts((use,), (), (dataset,), 1, 0)


def moments(pair):
    """Return now and every later moment at which any grant begins or ends."""
    grants = [grant for bundle in pair for grant in bundle.grants]
    ends = {moment for grant in grants for moment in (grant.starts, grant.ends)}
    return [made.NOW, *sorted(moment for moment in ends if moment > made.NOW)]


@examples(200)
@given(made.pairs(), st.data())
def test_the_cells_that_change_are_those_that_judging_each_alone_finds(pair, data):
    """Of each pair one person, purpose and dataset are drawn; of these every column, use and moment is judged."""
    dataset = data.draw(st.sampled_from(["ga.person", "tax.payer", "tax.payer"]))
    catalog = replace(made.CATALOG, datasets={dataset: made.CATALOG.datasets[dataset]})
    over = axes(pair, catalog)
    asking = [each for each in over.persons if each.role in (Role.ANALYST, Role.DEPARTMENT_STEWARD)]
    person = data.draw(st.sampled_from([*asking, *asking, *over.persons]))
    purpose = data.draw(st.sampled_from(over.purposes or ("none",)))
    subject = Subject(person.subject, person.department, frozenset({person.role}))
    changed, rises, falls = set(), set(), set()
    for column in over.columns[dataset] if over.purposes else ():
        for question in over.questions[dataset, column]:
            facts = asked(dataset, column, question)
            said = [
                [judged(bundle, subject, purpose, facts, moment) for bundle in pair]
                for moment in moments(pair)
            ]
            cell = Cell(*astuple(person), purpose, dataset, column, question.name)
            changed |= {cell} if any(old != new for old, new in said) else set()
            rises |= {cell} if any(old[0] < new[0] for old, new in said) else set()
            falls |= {cell} if any(old[0] > new[0] for old, new in said) else set()
    found = diff(*pair, catalog, made.NOW)

    def cells(changes):
        mine = [each for each in changes if each.dataset == dataset and person in each.persons]
        told = [replace(each, persons=(person,)) for each in mine]
        return {cell for each in told for cell in each.each() if cell.purpose == purpose}

    assert cells((*found.loosens, *found.tightens, *found.other)) == changed
    assert rises <= cells(found.loosens)
    assert falls <= cells(found.tightens)


@examples(25)
@given(made.pairs())
def test_a_difference_is_empty_only_of_equal_bundles_and_turns_around(pair):
    old, new = pair
    there, back = (diff(*each, made.CATALOG, made.NOW) for each in (pair, (new, old)))
    assert bool(there) == bool(back) == (canonical_form(old) != canonical_form(new))
    assert (there.loosened, there.tightened) == (back.tightened, back.loosened)
    assert {each.setting for each in there.loosens} == {each.setting for each in back.tightens}
    assert there.owners == frozenset(owner for each in back.tightens for owner in each.owners)
    changes = {id(each): each for each in (*there.loosens, *there.tightens, *there.other)}.values()
    counted = Counter(cell for change in changes for cell in change.each())
    assert (counted.total(), set(counted.values()) <= {1}) == (sum(each.cells for each in changes), True)  # fmt: skip
    said = [verdicts(bundle, made.CATALOG, made.NOW, axes(pair, made.CATALOG)) for bundle in pair]
    some = random.Random(1).sample([*said[0]], 100)
    assert {cell for cell in some if said[0][cell] != said[1][cell]} == {*some} & counted.keys()


@examples(60)
@given(made.pairs())
def test_what_the_merging_of_two_bundles_calls_looser_needs_approval_whatever_else_is_told(pair):
    """Two answers to one question, made apart: neither may hide a loosening that the other knows."""
    pair = [replace(each, digest=digest(canonical_form(each))) for each in pair]
    found = diff(*pair, made.CATALOG, made.NOW)
    looser = loosened(*pair)
    needed = required_approvals(found, *pair)
    assert looser is None or found.loosens, "what only tightens needs nobody but its author"
    assert needed.owners == found.owners
    blind = required_approvals(replace(found, loosens=()), *pair)
    tells = found.tightens or found.other
    assert blind.second_officer == (looser is not None or (not tells and needed.second_officer))
    assert {pair[1].datasets[name].owner for name in looser or ()} <= blind.owners


LITERALS = [
    0, 6, 7, 100, Decimal("6.0"), Decimal("6.5"), "F10", "F21.3", "F3", "B2", "A01", True, None, date(1999, 12, 31),
    *(date(2000, month, day) for month in (1, 2, 4, 7) for day in (1, 15)),
]  # fmt: skip
BANDS = (Context.GROUP_BAND, Context.COMPARE_BAND)
USED = [
    *((context, "", ()) for context in Context if context not in (Context.GROUP_BAND, Context.PASS)),
    *((Context.COMPARE, op, (value,)) for op in ("=", "<>", "<", "<=", ">", ">=") for value in LITERALS),
    *((Context.GROUP_BAND, str(width), ()) for width in (1, 2, 5, 6, 7, 10, 15, 18, 30, 60)),
    *((context, unit, ()) for context in (Context.GROUP_BUCKET, Context.COMPARE_BUCKET) for unit in ("month", "quarter", "year", "week")),
]  # fmt: skip


@examples(250)
@given(made.column_pairs())
def test_no_use_or_literal_is_judged_otherwise_without_a_question_that_is_too(drawn):
    """The questions stand for every use there is: what changes for one changes for a question of the same context."""
    pair, dataset, column = drawn
    rules = [bundle.datasets[dataset] for bundle in pair]

    def changes(context, *rest):
        use = ColumnUse(dataset, column, context, Clause.WHERE, *rest)
        said = [judge_use(use, rule.columns[column], rule) is None for rule in rules]
        return {(context, *said)} if said[0] != said[1] else set()

    questions = axes(pair, made.CATALOG).questions[dataset, column]
    told = {
        change
        for each in questions
        for change in changes(each.context, each.op, each.literals, each.per_unit)
    }
    found = {change for used in USED for unit in (False, True) for change in changes(*used, unit)}
    if not made.CATALOG.datasets[dataset].columns[column].type.numeric:
        # The statement of a band of what is no number has no such use: it is refused by its form.
        found = {change for change in found if change[0] not in BANDS}
    if any(each.path[-1] == "withheld" for each in setting_changes(*pair)):
        found = {change for change in found if change[0] is not Context.COMPARE}
    assert found <= told
