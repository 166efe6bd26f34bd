"""Whatever is typed: a form that is offered passes, reads no other dataset, and an explanation never fails."""

from demo_gateway import demo_gateway
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform.policy import suite
from middleplatform.policy.examples import example
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify

PEOPLE = suite.personas(example("demo") / "personas.yaml")


@st.composite
def _statements(draw):
    """Draw a statement over one dataset: sensible or not, often refused for several reasons at once."""
    datasets = demo_gateway().catalog.datasets
    name = draw(st.sampled_from(sorted(datasets)))
    column = st.sampled_from(sorted(datasets[name].columns))
    function = st.sampled_from(
        [
            "{}",
            "SUM({})",
            "MAX({})",
            "COUNT(DISTINCT {})",
            "LIST({})",
            "{} + 1",
            "LN({})",
            "{} AS 甲",
        ]
    )
    shown = [draw(function).format(draw(column)) for _ in range(draw(st.integers(1, 3)))]
    test = st.sampled_from(
        [
            "{} = '1'",
            "{} < 77",
            "{} BETWEEN 1 AND 999",
            "{} LIKE '99%'",
            "{} IS NULL",
            "{} IN (1, 2)",
        ]
    )
    where = " AND ".join(draw(test).format(draw(column)) for _ in range(draw(st.integers(0, 2))))
    groups = ", ".join(draw(column) for _ in range(draw(st.integers(0, 4))))
    end = draw(st.sampled_from(["", " ORDER BY 1", " LIMIT 3", " HAVING COUNT(*) < 4"]))
    return (
        f"SELECT {', '.join(shown)} FROM {name}{' WHERE ' + where if where else ''}"
        f"{' GROUP BY ' + groups if groups else ''}{end}"
    )


@settings(max_examples=25)
@given(_statements(), st.sampled_from(["analyst_drc", "visitor", "county_analyst", "steward_ga"]))
def test_a_form_that_is_offered_passes_and_reads_nothing_else(sql, person):
    gateway = demo_gateway()
    request = gateway.request(sql, PEOPLE[person], "statistics")
    found = gateway.advise(request)
    if found.form is None:
        return
    other = found.form.request
    assert found.explanation.verdict == "refuse"
    assert gateway.explain(other).verdict == "permit"
    assert other.subject == request.subject
    (dataset,) = qualify(parse(other.sql, gateway.bundle.limits), gateway.catalog).facts.datasets
    assert dataset in sql
