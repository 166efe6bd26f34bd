"""Whatever a template says, what the gateway sends of it is known to the departments as the template's own."""

from dataclasses import replace

import pooled_world as world
import pytest
from hypothesis import given
from made_templates import TEMPLATE, made, with_templates
from strategies import examples, statements

from middleplatform import catalog as catalogs
from middleplatform import policy
from middleplatform.authorization.authorize import Asking
from middleplatform.authorization.templates import within
from middleplatform.gateway.approved import decided, ruled
from middleplatform.gateway.planned import checked
from middleplatform.model.catalog import Sharing
from middleplatform.planner.plan import make_plan, read_fragment
from middleplatform.sql.parse import parse
from middleplatform.sql.qualify import qualify


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    """Return a catalogue, and a bundle under which every column is conditional."""
    written = world.write_rules(tmp_path_factory.mktemp("rules"), {"min_units": 10})
    catalog = catalogs.load(written[0])
    bundle = policy.load(written[1], catalog)
    for dataset, rule in bundle.datasets.items():
        for column in rule.columns:
            bundle = made.with_column(bundle, dataset, column, sharing=Sharing.CONDITIONAL)
    return catalog, bundle


@examples(120)
@given(sql=statements())
def test_no_fragment_of_a_templates_statement_is_refused_for_its_form(rules, sql):
    catalog, shut = rules
    template = replace(TEMPLATE, sql=sql, parameters=())
    bundle = with_templates(template, bundle=shut)
    query = qualify(parse(sql, bundle.limits), catalog)
    asking = Asking(made.ANALYST, "statistics", made.NOW)
    assert not decided(query, asking, shut, catalog).permit
    decision = decided(query, asking, bundle, catalog)
    assert decision.permit, decision.reasons
    plan = make_plan(query, decision, catalog, bundle.limits, bundle=bundle)
    for block in checked(plan, asking, ruled(decision, bundle, catalog), catalog, "q").blocks:
        assert within(read_fragment(block.sql, catalog)[1], template, bundle, catalog), block.sql
