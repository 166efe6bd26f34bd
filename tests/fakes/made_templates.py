"""A made template over a column that needs a grant, and the bundles and questions around it."""

import sys
from dataclasses import replace
from pathlib import Path
from textwrap import indent

from middleplatform.model.catalog import Sharing
from middleplatform.policy import templates
from policies.documents import read

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_world as made

SQL = "SELECT p.sex, SUM(p.education) AS years FROM ga.person p WHERE p.birth_year >= :since GROUP BY p.sex"
ASKED = SQL.replace(":since", "1970")
_GIVEN = """departments: [drc]
purposes: [statistics]
regions: ["*"]
starts: 2026-01-01
ends: 2027-01-01
basis: 《统计法》第三条
risk: {secrecy: 不涉及, personal: 仅汇总, assessed_by: 王, assessed_on: 2025-12-01}
"""


def as_written(name, titles, sql, more=""):
    """Return a ``templates.yaml`` of one template; ``more`` are further lines of it."""
    said = f"title_zh: {titles[0]}\ntitle_en: {titles[1]}\nsql: {sql}\n{more}{_GIVEN}"
    return f"templates:\n  {name}:\n{indent(said, ' ' * 4)}"


YAML = {
    "title_zh": "按性别的受教育年数", "title_en": "Years of education by sex", "sql": SQL,
    "parameters": {"since": [1960, 1970]}, **read("given", _GIVEN)[0].value,
}  # fmt: skip
TEMPLATE = templates.build("education", YAML)
CLOSED = made.with_column(made.BUNDLE, "ga.person", "education", sharing=Sharing.CONDITIONAL)


def with_templates(*found, bundle=CLOSED):
    """Return ``bundle`` with templates, and no others."""
    return replace(bundle, templates={each.name: each for each in found})


OPEN = with_templates(TEMPLATE)

REGIONS_SQL = "SELECT region_code, COUNT(*) AS n FROM ga.population GROUP BY region_code"
REGIONS = as_written("regions", ("各区人数", "People by region"), REGIONS_SQL)
"""Over the small catalogue of ``policy_world``."""
CLOSED_REGION = "region_code: {sharing: conditional, basis: 《某法》第一条}"


def with_regions(found, template=REGIONS):
    """Return the files of a bundle with the column conditional that ``REGIONS`` opens, and with ``template`` if any."""
    columns = found["columns.yaml"].replace("region_code: {}", CLOSED_REGION)
    return {**found, "columns.yaml": columns, **({"templates.yaml": template} if template else {})}
