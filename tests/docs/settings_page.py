"""Writes docs/reference/settings.md from the settings' own docstring: ``python tests/docs/settings_page.py``."""

import re
from dataclasses import fields
from pathlib import Path

from middleplatform.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/settings.md"
_HEAD = """# Settings

<!-- Written by tests/docs/settings_page.py; a test compares it with the code. -->

What an operator sets, in a TOML file (`--settings FILE`) or in the environment, which wins:
`MIDDLEPLATFORM_` and the name in capitals. An unknown name, or a value that makes no sense, refuses the start with `C003`.

| name | default | meaning |
|---|---|---|
"""


def described():
    """Return the sentence of each field, from the class docstring."""
    attributes = (Settings.__doc__ or "").split("Attributes:")[1]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def page():
    """Return the page's text."""
    texts = described()
    rows = []
    for field in fields(Settings):
        default = "" if field.default in (None, "") else f"`{field.default}`"
        rows.append(f"| `{field.name}` | {default} | {texts[field.name]} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
