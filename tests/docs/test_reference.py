"""Codes, settings and dependencies are documented: all of them, and none that are gone."""

import re
import tomllib
from dataclasses import fields

import node_page
import pytest
from pages import ROOT, blocks
from settings_page import PAGE, described, page

from middleplatform.errors import CODES
from middleplatform.node.config import NodeConfig, NodeLimits, load
from middleplatform.settings import Settings


def test_every_error_code_is_documented_and_no_other():
    text = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([A-Z]\d{3}) ([A-Z_]+) \|", text, re.MULTILINE)
    assert sorted(documented) == sorted((code.code, code.name) for code in CODES.values())


def test_every_code_that_a_page_names_exists():
    found = {}
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for code in re.findall(r"\b([QPDSXLAC]\d{3})\b", path.read_text(encoding="utf-8")):
            found.setdefault(code, path.name)
    assert {code: name for code, name in found.items() if code not in CODES} == {}


def test_every_setting_is_documented_and_the_page_is_fresh():
    assert set(described()) == {field.name for field in fields(Settings)}
    assert PAGE.read_text(encoding="utf-8") == page(), "run python tests/docs/settings_page.py"


def test_every_setting_of_a_node_is_documented_and_the_page_is_fresh():
    for settings in (NodeConfig, NodeLimits):
        assert set(node_page.described(settings)) == {field.name for field in fields(settings)}
    written = node_page.PAGE.read_text(encoding="utf-8")
    assert written == node_page.page(), "run python tests/docs/node_page.py"


@pytest.mark.parametrize("place", ["docs/reference/node.md", "docs/howto/run-a-node.md"])
def test_the_settings_of_a_node_that_a_page_shows_are_taken(place, tmp_path):
    shown = [block.text for block in blocks(ROOT / place) if block.kind == "yaml"]
    assert shown
    for number, text in enumerate(shown):
        path = tmp_path / f"{number}.yaml"
        path.write_text(text, encoding="utf-8")
        assert load(path).department == "ga"


def declared():
    """Return the names of the declared dependencies, lower case."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = text["project"]["optional-dependencies"].values()
    lines = text["project"]["dependencies"] + text["build-system"]["requires"]
    lines += [line for group in groups for line in group]
    return {re.match(r"[\w.-]+", line)[0].lower() for line in lines}


def test_every_dependency_has_its_row_and_an_exact_version():
    pages = sorted((ROOT / "docs/adr").glob("*-dependencies.md"))
    lines = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    rows = [line.split("|")[1] for line in lines if line.startswith("| `")]
    named = {name.lower() for row in rows for name in re.findall(r"`([\w.-]+)`", row)}
    assert named == declared()
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in pins if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in pinned)
    assert declared() <= {line.split("==")[0] for line in pinned}
