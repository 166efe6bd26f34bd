"""Which approved templates are open to the caller."""

from dataclasses import replace

import pytest
from made_templates import ASKED, SQL, TEMPLATE

from middleplatform.web import bodies


@pytest.fixture
def listed(service):
    """Return a function that gives the templates that a caller is told."""
    found = {TEMPLATE.name: TEMPLATE, "shut": replace(TEMPLATE, name="shut", ends=TEMPLATE.starts)}
    service.gateway.bundle = replace(service.gateway.bundle, templates=found)

    def tell(role="analyst", **headers):
        reply = service.ask("GET", "/v1/templates", role, headers=headers)
        assert reply.status_code == 200
        return bodies.TemplatesBody.model_validate(reply.json()).templates

    return tell


def test_who_it_is_open_to_is_told_what_may_be_asked_and_how(listed):
    (one,) = listed()
    assert (one.name, one.title, one.purposes) == ("education", "Years of education by sex", ["statistics"])  # fmt: skip
    assert [(each.name, each.values) for each in one.parameters] == [("since", ["1960", "1970"])]
    assert (one.sql, one.example) == (SQL, ASKED.replace("1970", "1960"))
    assert one.until == TEMPLATE.ends.isoformat()


def test_the_title_is_in_the_wished_language(listed):
    (one,) = listed(**{"Accept-Language": "zh"})
    assert one.title == "按性别的受教育年数"


def test_who_it_is_not_open_to_is_told_nothing_of_it(listed):
    assert listed("department_steward") == []
