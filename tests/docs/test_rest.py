"""The page on REST names every endpoint with its roles, and none that are gone."""

import re

from rest_page import PAGE, named, page

from middleplatform.web.guard import ENDPOINTS


def test_every_endpoint_is_documented_and_the_page_is_fresh():
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run python tests/docs/rest_page.py"
    listed = re.findall(r"^\| `([A-Z]+) (/v1/\S*)` \|", text, re.MULTILINE)
    assert set(listed) == set(ENDPOINTS)


def test_the_page_names_no_endpoint_that_is_gone():
    known = {re.sub(r"{\w+}", "{}", path) for _, path in ENDPOINTS} | {"/v1/openapi.json"}
    found = {
        re.sub(r"{\w+}|\bCODE\b", "{}", path) for path in named(PAGE.read_text(encoding="utf-8"))
    }
    assert found
    assert found - known == set()
