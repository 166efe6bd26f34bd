"""Does the page on commands show what ``explain`` says of a private join?"""

import re

from demo_pool import CASES
from pages import ROOT

_ROW = re.compile(r"^\| (?:plan|dispatch|disclose) \|.*$", re.MULTILINE)


def test_the_example_of_explain_is_what_explain_says(shipped_platform):
    gateway = shipped_platform.gateway
    case = CASES["Q05"]
    found = gateway.explain(gateway.request(case.sql, case.subject, case.purpose))
    steps = [each for each in found.steps if each.stage in ("plan", "dispatch", "disclose")]
    said = [
        f"| {each.stage} | {each.party} | {each.what[0]} | {each.learns[0]} |" for each in steps
    ]
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    shown = _ROW.findall(page)
    assert [" ".join(line.split()) for line in shown] == [" ".join(line.split()) for line in said]
