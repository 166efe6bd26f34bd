"""The table of endpoints in docs/reference/rest.md, from the guard's table and the handlers' own words.

``python tests/docs/rest_page.py`` writes it anew.
"""

import json
import re
import sys

from pages import ROOT

from middleplatform.model.request import Role
from middleplatform.web.guard import ENDPOINTS

PAGE = ROOT / "docs/reference/rest.md"
BEGIN, END = "<!-- endpoints: python tests/docs/rest_page.py -->\n", "<!-- end of endpoints -->\n"


def table():
    """Return the rows, an endpoint each, in the order of the guard's table."""
    paths = json.loads((ROOT / "tests/golden/openapi.json").read_text(encoding="utf-8"))["paths"]
    lines = ["", "| method and path | roles | what it does |", "|---|---|---|"]
    for (method, path), roles in ENDPOINTS.items():
        told = paths[path][method.lower()]
        lines.append(
            f"| `{method} {path}` | {said(roles)} | {told['description'].replace('``', '`')} |"
        )
    return "\n".join([*lines, "", ""])


def said(roles):
    if roles is None:
        return "anybody"
    return "all" if roles == frozenset(Role) else ", ".join(sorted(roles))


def page(text):
    """Return the page with its table fresh."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


def named(text):
    """Return the paths that the page names outside of the table."""
    outside = text.partition(BEGIN)[0] + text.partition(END)[2]
    return set(re.findall(r"`(?:[A-Z]+ )?(/v1/[^`?\s]*)", outside))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
