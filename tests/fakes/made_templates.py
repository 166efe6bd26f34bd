"""A made template over a column that needs a grant, and the bundles and questions around it."""

import sys
from dataclasses import replace
from pathlib import Path

from middleplatform.model.catalog import Sharing
from middleplatform.policy import templates

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "sql"))

import made_world as made

SQL = "SELECT p.sex, SUM(p.education) AS years FROM ga.person p WHERE p.birth_year >= :since GROUP BY p.sex"
ASKED = SQL.replace(":since", "1970")
YAML = {
    "title_zh": "按性别的受教育年数", "title_en": "Years of education by sex", "sql": SQL,
    "parameters": {"since": [1960, 1970]}, "departments": ["drc"], "purposes": ["statistics"], "regions": ["*"],
    "starts": "2026-01-01", "ends": "2027-01-01", "basis": "《统计法》第三条",
    "risk": {"secrecy": "不涉及", "personal": "仅汇总", "assessed_by": "王", "assessed_on": "2025-12-01"},
}  # fmt: skip
TEMPLATE = templates.build("education", YAML)
CLOSED = made.with_column(made.BUNDLE, "ga.person", "education", sharing=Sharing.CONDITIONAL)


def with_templates(*found, bundle=CLOSED):
    """Return ``bundle`` with templates, and no others."""
    return replace(bundle, templates={each.name: each for each in found})


OPEN = with_templates(TEMPLATE)
