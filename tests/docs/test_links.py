"""Links lead somewhere, and files that a page names exist."""

import re

import pytest
from pages import ROOT, pages, prose, relative

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_PATH = re.compile(
    r"`((?:middleplatform|connectors|policies|tests|docs|benchmarks)/[\w./-]*[\w/])`"
)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page):
    heads = _HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", pages(), ids=relative)
def test_every_relative_link_resolves(page):
    broken = []
    for target in _LINK.findall(prose(page)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        to = (page.parent / name) if name else page
        if not to.exists() or (anchor and anchor not in anchors(to)):
            broken.append(target)
    assert not broken


@pytest.mark.parametrize("page", pages(), ids=relative)
def test_every_file_that_a_page_names_exists(page):
    named = _PATH.findall(prose(page))
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


def test_every_decision_is_reached_from_the_architecture():
    page = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    unlinked = [
        path.name for path in (ROOT / "docs/adr").glob("*.md") if f"adr/{path.name}" not in page
    ]
    assert not unlinked


def test_both_readmes_have_the_same_sections_and_examples():
    english, chinese = (
        (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md")
    )
    assert len(_HEADING.findall(english)) == len(_HEADING.findall(chinese))
    assert english.count("<!-- figures -->") == chinese.count("<!-- figures -->") == 1
