"""Stage 2: names resolved, the statement cut at the release boundary, facts extracted."""

import hashlib

from sqlglot import exp

from middleplatform.model.catalog import Catalog
from middleplatform.model.query import ParsedQuery, QualifiedQuery, QueryFacts
from middleplatform.sql.bind import Binder

__all__ = ["fingerprint", "qualify"]


def qualify(parsed: ParsedQuery, catalog: Catalog) -> QualifiedQuery:
    """Resolve every name of ``parsed`` against ``catalog`` and cut it at the release boundary.

    Policy plays no part here: what is refused at this stage is refused for everybody.

    Raises:
        QueryError: Q010 outside the accepted SQL, Q020 to Q023 names that mean nothing or two things.
    """
    binder = Binder(catalog)
    released = binder.statement(parsed.tree)
    state = binder.state
    datasets = {
        relation.dataset for relation in state.relations.values() if hasattr(relation, "dataset")
    }
    facts = QueryFacts(
        uses=tuple(state.uses),
        violations=tuple(state.violations),
        datasets=tuple(sorted(datasets)),
        group_columns_max=state.group_columns_max,
        joins=state.joins,
    )
    return QualifiedQuery(
        parsed=parsed,
        cells=tuple(state.cells),
        post=released.tree,
        facts=facts,
        outputs=released.columns,
        label_only=tuple(state.label_only),
    )


def fingerprint(tree: exp.Expr) -> str:
    """Return SHA-256 of the statement with its literals taken out, hexadecimal: near-duplicates share it."""

    def blank(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Literal):
            return exp.Placeholder()
        if isinstance(node, exp.In) and node.expressions:
            return exp.In(this=node.this, expressions=[exp.Placeholder()])
        return node

    text = tree.copy().transform(blank).sql("postgres", comments=False)
    return hashlib.sha256(text.encode()).hexdigest()
