"""Any sequence of calls leaves the ledger exactly where a model of plain fractions is."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.errors import DisclosureError
from middleplatform.ledger.budget import BudgetLedger
from middleplatform.model.budget import Charge, Snapshot
from middleplatform.model.policy import PrivacyRule

AT = "2026-03-01T08:00:00Z"
DATASETS = ("a", "b", "c")
losses = st.fractions(min_value=Fraction(1, 10_000), max_value=1, max_denominator=10_000)
caps = st.builds(
    PrivacyRule,
    rho_snapshot=st.fractions(min_value=0, max_value=3, max_denominator=10**6),
    rho_project=st.fractions(min_value=0, max_value=2, max_denominator=10**6),
    rho_analyst=st.fractions(min_value=0, max_value=2, max_denominator=10**6),
)
reserving = st.tuples(
    st.just("reserve"),
    st.lists(st.sampled_from(DATASETS), min_size=1, max_size=3, unique=True),
    st.sampled_from("pq"),
    st.sampled_from("uv"),
    losses,
)
later = st.tuples(
    st.sampled_from(["start", "commit", "release"]), st.integers(min_value=0, max_value=30)
)
beginning = st.tuples(st.just("begin"), st.sampled_from(DATASETS))
calls = st.lists(st.one_of(reserving, reserving, later, beginning), max_size=40)


class Model:
    """The ledger as its specification reads, in memory and slow."""

    def __init__(self, rules):
        self.rules, self.charges, self.states = rules, [], []
        self.labels = dict.fromkeys(DATASETS, "first")

    def sums(self):
        found = {}
        for charged, state in zip(self.charges, self.states, strict=True):
            if state != "released":
                for dataset, label, project, analyst, rho in charged:
                    for scope in (("snapshot", ""), ("project", project), ("analyst", analyst)):
                        key = (Snapshot(dataset, label), *scope)
                        found[key] = found.get(key, Fraction(0)) + rho
        return found

    def reserve(self, datasets, project, analyst, rho):
        sums = self.sums()
        for name in datasets:
            snapshot, rule = Snapshot(name, self.labels[name]), self.rules[name]
            for scope, who, cap in (
                ("snapshot", "", rule.rho_snapshot),
                ("project", project, rule.rho_project),
                ("analyst", analyst, rule.rho_analyst),
            ):
                if sums.get((snapshot, scope, who), Fraction(0)) + rho > cap:
                    return False
        self.charges.append([(name, self.labels[name], project, analyst, rho) for name in datasets])
        self.states.append("reserved")
        return True

    def move(self, number, step):
        state = self.states[number]
        if step == "release":
            self.states[number] = "released" if state == "reserved" else state
            return state in {"reserved", "released"}
        before = {"start": ("reserved", "started"), "commit": ("reserved", "started", "committed")}
        if state not in before[step]:
            return None
        self.states[number] = {"start": "started", "commit": "committed"}[step]
        return True


@settings(deadline=None)
@given(rules=st.fixed_dictionaries(dict.fromkeys(DATASETS, caps)), asked=calls)
def test_the_ledger_and_a_model_of_fractions_never_differ(rules, asked):
    model, taken, labels = Model(rules), [], iter(range(1_000))
    with BudgetLedger(None) as ledger:
        for name, *rest in asked:
            if name == "reserve":
                datasets, project, analyst, rho = rest
                charges = [Charge(each, rho, rules[each]) for each in datasets]
                try:
                    taken.append(ledger.reserve_all(charges, project, analyst, "q", AT))
                    granted = True
                except DisclosureError:
                    granted = False
                assert granted == model.reserve(datasets, project, analyst, rho)
            elif name == "begin":
                label = f"s{next(labels)}"
                ledger.begin_snapshot(rest[0], label, AT)
                model.labels[rest[0]] = label
            elif rest[0] < len(taken):
                expected = model.move(rest[0], name)
                try:
                    found = getattr(ledger, name)(taken[rest[0]])
                    assert found == (expected if name == "release" else None)
                except ValueError:
                    assert expected is None
            spent = {key: rho for key, rho in ledger.spent().items() if rho}
            assert spent == model.sums()
        assert [each.state for each in ledger.entries()] == [
            state
            for charged, state in zip(model.charges, model.states, strict=True)
            for _ in charged
        ]


@given(rho=losses, others=st.lists(losses, max_size=50))
def test_what_is_given_back_leaves_no_trace_in_the_sum(rho, others):
    wide = PrivacyRule(
        rho_snapshot=Fraction(99), rho_project=Fraction(99), rho_analyst=Fraction(99)
    )
    more = {"query_id": "q", "at": AT}
    with BudgetLedger(None) as ledger:
        first = ledger.reserve("a", "p", "u", rho, wide, **more)
        for each in others:
            ledger.reserve("a", "p", "u", each, wide, **more)
        ledger.release(first)
        assert ledger.left("a", "p", "u", wide).spent_snapshot == sum(others, Fraction(0))
