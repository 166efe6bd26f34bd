"""Markdown pages of the repository and the code blocks on them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: what stands behind the fence, the text, and where."""

    page: str
    kind: str
    text: str
    line: int

    @property
    def name(self):
        return f"{self.page}:{self.line}"


def pages():
    """Return all pages that are the project's own, sorted."""
    found = [*ROOT.glob("*.md")]
    for folder in ("docs", "policies", "middleplatform", "connectors", "tests", "benchmarks"):
        found += (ROOT / folder).rglob("*.md")
    return sorted(found)


def relative(page):
    return page.relative_to(ROOT).as_posix()


def blocks(page):
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(relative(page), match[1].strip(), match[2], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def prose(page):
    """Return a page's text without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))
