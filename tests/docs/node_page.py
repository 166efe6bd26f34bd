"""Writes docs/reference/node.md from the docstrings of a node's settings: ``python tests/docs/node_page.py``."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

from middleplatform.node.config import NodeConfig, NodeLimits

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/node.md"
_HEAD = """# Node settings

<!-- Written by tests/docs/node_page.py; a test compares it with the code. -->

`node.yaml`, read by `middleplatform node serve --config FILE` and `node own`. [How to run a node](../howto/run-a-node.md).
Paths are relative to the file's folder. An unknown field, or a value that makes no sense, refuses the start with `C003` and names the field.

```yaml
department: ga
state: state
listen: 10.20.0.4:7443
catalog: catalog
bundle: policy
limits: {concurrency: 4, timeout_s: 60}
stewards:
  - {id: steward_ga, roles: [department_steward], regions: ["*"]}
passphrase_file: passphrase
```

## Fields

| name | default | meaning |
|---|---|---|
"""
_LIMITS = """
## `limits`

Whole numbers, at least 1 (`answers_mb`: 0).

| name | default | meaning |
|---|---|---|
"""
_STEWARDS = """
## `stewards`

A list; each entry has `id` (the login that `node own --steward` names), `roles` and `regions` (`"*"` is everywhere).
Their department is the node's own.

## `allowed`

Third-party connectors, name to distribution: `{our_mainframe: our-connectors}`.
A connector that is not ours and not listed is not loaded ([connector SPI](../spec/connector-spi.md)).
"""


def described(settings):
    """Return the sentence of each field, from the class docstring."""
    attributes = (settings.__doc__ or "").split("Attributes:")[1]
    found = re.findall(r"^ {8}(\w+): (.*(?:\n {12}.*)*)", attributes, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", text).strip() for name, text in found}


def _default(field):
    if field.default is MISSING:
        return "" if field.default_factory is not MISSING else "must be given"
    if field.default is None or field.default in ("", ()):
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


def _rows(settings):
    texts = described(settings)
    return "".join(
        f"| `{field.name}` | {_default(field)} | {texts[field.name]} |\n"
        for field in fields(settings)
    )


def page():
    """Return the page's text."""
    return _HEAD + _rows(NodeConfig) + _LIMITS + _rows(NodeLimits) + _STEWARDS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
