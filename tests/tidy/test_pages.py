"""Every page has one title, at its top."""

import re

import pytest
from tree import files, relative, text

PAGES = [path for path in files() if path.suffix == ".md"]
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_a_page_has_one_title_and_begins_with_it(page):
    body = _FENCE.sub("", text(page))
    assert len(re.findall(r"^# ", body, re.MULTILINE)) == 1
    assert body.startswith("# ")


@pytest.mark.parametrize("page", [page for page in PAGES if "adr" in page.parts], ids=relative)
def test_a_decision_is_short_and_says_how_it_would_show_to_be_wrong(page):
    heads = re.findall(r"^## (.*)$", text(page), re.MULTILINE)
    assert heads == ["Context", "Decision", "Consequences", "How we would notice it was wrong"]
    assert text(page).count("\n") <= 70
    assert re.match(rf"# {page.name[:4]} [`\w]", text(page))
