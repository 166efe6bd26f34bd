"""How the demonstration's questions across departments are planned, and what each department runs, as text."""

from middleplatform.authorization.authorize import Asking, authorize
from middleplatform.catalog import load as load_catalog
from middleplatform.model.join import JoinPlan
from middleplatform.model.query import JoinKind
from middleplatform.planner.plan import make_plan
from middleplatform.planner.side_statement import missing_labels, side_statement
from middleplatform.policy import load, suite
from middleplatform.policy.examples import example
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

DIALECTS = ("duckdb", "postgres", "spark")


def join_plans() -> str:
    """Return every private join of the demonstration's test suite."""
    root = example("demo")
    catalog = load_catalog(root / "catalog")
    bundle = load(root, catalog)
    cases = [case for each in suite.load(root) for case in each.cases]
    lines: list[str] = []
    for case in cases:
        if case.protocol != "private_join":
            continue
        query = qualify(parse(case.sql, bundle.limits), catalog)
        asking = Asking(case.subject, case.purpose, case.now, "", strict=False)
        decision = authorize(query.facts, asking, bundle, catalog)
        plan = make_plan(query, decision, catalog, bundle.limits, bundle=bundle, sealed=case.sealed)
        for block in plan.blocks:
            assert block.join is not None
            lines += [f"===== {case.id}", *_plan(block.join)]
            for side in block.join.sides:
                labels = missing_labels(block.cell, block.layout, block.join, side.number)
                unmatched = f", unmatched {list(labels)}" if side.kind is JoinKind.LEFT else ""
                lines.append(f"--- side {side.number}{unmatched}")
                for dialect in DIALECTS if case.id in ("Q04", "Q12") else DIALECTS[:1]:
                    asked = (block.cell, block.layout, block.join, side.number, catalog, dialect)
                    lines += [f"{dialect}:", _visible(side_statement(*asked).sql)]
    return "\n".join(lines) + "\n"


def _plan(plan: JoinPlan) -> list[str]:
    found = [f"{plan.protocol} on {plan.unit}, at least {plan.min_units}, fan {plan.fan}"]
    found += [f"note: {note}" for pair in plan.notes for note in pair]
    for side in plan.sides:
        words = [word.name for word in side.words if not word.name.startswith("rung_")]
        flags = [name for name in ("unique", "single") if getattr(side, name)]
        found.append(
            f"side {side.number}: {side.kind} {','.join(side.departments)} on {side.key.relation}.{side.key.name}"
            f" labels {list(side.dimensions)} keys {list(side.keys)} words {words} {' '.join(flags)}".rstrip()
        )
    found.append(
        f"populations {list(plan.population_sides)} sums {list(plan.sum_sides)} others {list(plan.other_sides)}"
        f" capped {list(plan.capped)}"
    )
    return found


def _visible(text: str) -> str:
    """Write white space that is no plain space by its number."""
    return "".join(
        each if each == " " or not each.isspace() else f"\\u{ord(each):04x}" for each in text
    )
