"""What browsers run is what the sources say, of the versions that are written down."""

import hashlib
import json
import re
from pathlib import Path

import pytest

import middleplatform.web.console

HOME = Path(middleplatform.web.console.__file__).parent
ASSETS, STATIC = HOME / "assets", HOME / "static"
MANIFEST = json.loads((STATIC / "manifest.json").read_text())
LOCK = json.loads((ASSETS / "package-lock.json").read_text())
BY_HAND = (".css", ".json", ".svg")


def digest(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(("part", "folder"), [("sources", ASSETS), ("results", STATIC)])
def test_built_scripts_are_those_of_the_sources(part, folder):
    """Whoever changes a source runs ``make console-assets``; nobody edits what it made."""
    assert {name: digest(folder / name) for name in MANIFEST[part]} == MANIFEST[part]


def test_manifest_names_every_source_and_every_result():
    told = {"README.md", ".npmrc"}
    sources = {str(file.relative_to(ASSETS)) for file in ASSETS.rglob("*") if file.is_file()} - told
    assert set(MANIFEST["sources"]) == sources
    assert set(MANIFEST["results"]) == {
        file.name for file in STATIC.iterdir() if file.suffix not in BY_HAND
    }


def test_lock_file_has_exact_versions_and_digests_and_no_address():
    assert not re.search(r"https?:|resolved|git\+|file:", json.dumps(LOCK))
    packages = {name: each for name, each in LOCK["packages"].items() if name}
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    wanted = json.loads((ASSETS / "package.json").read_text())
    for name, version in (wanted["dependencies"] | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_license_of_every_package_that_is_shipped_stands_beside_it():
    text = (STATIC / "LICENSES.txt").read_text()
    for name, each in LOCK["packages"].items():
        if name and not each.get("dev"):
            assert f"\n{name.removeprefix('node_modules/')} {each['version']} (" in text


def test_no_script_makes_code_of_text_or_asks_another_host():
    for name in ("console.js", "editor.js", "chart.js"):
        text = (STATIC / name).read_text()
        assert not re.search(r"\beval\(|\bnew Function\b|\bimport\(", text), name
        hosts = set(re.findall(r"https?://([\w.-]+)", text))
        assert hosts <= {"www.w3.org"}, name  # names of XML's vocabularies


def test_page_with_neither_editor_nor_chart_loads_little():
    assert len((STATIC / "console.js").read_bytes()) < 4096
    assert len((STATIC / "console.css").read_bytes()) < 32_768
