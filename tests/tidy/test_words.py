"""Words that have no place in the repository: unfinished marks, machines, download hosts, real-looking identities."""

import re

import pytest
from tree import files, relative, text

# Written in parts, so that this file does not find itself.
UNFINISHED = (
    "TO" + "DO",
    "FIX" + "ME",
    "X" + "XX",
    "HA" + "CK",
    "place" + "holder",
    "lorem " + "ipsum",
)
MACHINE = (
    "/wo" + "rk/",
    "/roo" + "t/",
    "/ho" + "me/",
    "/t" + "mp/",
    "../sha" + "red",
    "C:" + "\\\\",
)
HOSTS = (
    "pypi" + ".org", "python" + "hosted", "github" + "usercontent", "npm" + "js", "conda" + "-forge",
    "index" + "-url", "extra" + "-index", "hugging" + "face", "deb." + "debian",
)  # fmt: skip
SESSION = ("Clau" + "de", "Chat" + "GPT", "Co" + "pilot", "sub" + "agent", "language " + "model")

# What others wrote, as built by make console-assets.
BUILT = tuple(
    f"middleplatform/web/console/static/{name}"
    for name in ("LICENSES.txt", "chart.js", "editor.js", "htmx.js")
)
# The standard's own worked example of the check digit, GB 11643.
PUBLISHED = ("110105194912" + "31002X",)
_IDENTITY = re.compile(
    r"(?<![\dA-Za-z.])[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d\d{3}[\dX](?![\dA-Za-z.])"
)


def found(words, *, allowed=()):
    return [
        f"{relative(path)}: {word}"
        for path in files()
        if relative(path) not in allowed
        for word in words
        if re.search(rf"(?<![A-Za-z]){re.escape(word)}", text(path))
    ]


def test_nothing_is_marked_as_unfinished():
    assert found(UNFINISHED, allowed=BUILT) == []


def test_no_path_of_a_machine_stands_anywhere():
    # Statements of attackers may name paths.
    assert found(MACHINE, allowed=("tests/vectors/governance/own.json",)) == []


def test_no_download_host_stands_anywhere():
    assert found(HOSTS) == []


def test_no_tool_of_a_workplace_stands_anywhere():
    assert found(SESSION) == []


@pytest.mark.parametrize("folder", ["middleplatform", "connectors", "policies", "docs", "tests"])
def test_identity_numbers_are_made_in_the_unused_region(folder):
    real = [
        f"{relative(path)}: {number}"
        for path in files()
        if relative(path).startswith(folder)
        for number in _IDENTITY.findall(text(path))
        if not number.startswith("9901") and number not in PUBLISHED
    ]
    assert real == []


def test_no_not_implemented_error_stands_in_the_product():
    assert [
        name for name in found(("NotImplemented" + "Error",)) if not name.startswith("tests/")
    ] == []
