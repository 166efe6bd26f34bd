"""Every term of the glossary names something that exists."""

import importlib
import re

import pytest
from pages import ROOT

_ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| `([\w.]+)` \|$", re.MULTILINE)
ROWS = _ROW.findall((ROOT / "docs/glossary.md").read_text(encoding="utf-8"))


def resolved(path):
    """Import the longest module of a dotted path and take the rest as attributes."""
    parts = path.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


@pytest.mark.parametrize(("term", "path"), [(row[0], row[3]) for row in ROWS])
def test_term_resolves(term, path):
    assert resolved(path) is not None, term


def test_every_row_of_the_glossary_is_read_and_no_term_stands_twice():
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    assert len(ROWS) == sum(line.startswith("| ") for line in lines) - 1
    assert len({row[0] for row in ROWS}) == len(ROWS) >= 40
