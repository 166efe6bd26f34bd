"""A suppressed warning gives its reason on its line, or is one of a counted few."""

import io
import re
import tokenize

from tree import modules, relative, sources, text

# Bare suppressions in the product, all files together: this number only falls.
BARE_MAX = 8
_NOQA = re.compile(r"#\s*noqa(?!: [A-Z]+\d)", re.IGNORECASE)
_REASON = re.compile(r"#\s*(?:noqa: [A-Z0-9, ]+?|type: ignore\[[\w, -]+\])\s+(?:-|#)\s*\w+")
_ANY = re.compile(r"#\s*(?:noqa\b|type:\s*ignore)", re.IGNORECASE)


def comments(path):
    """Yield (line, comment) of a module's own comments; strings that look like one are none."""
    for token in tokenize.generate_tokens(io.StringIO(text(path)).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def suppressions(paths):
    return [
        (f"{relative(path)}:{line}", comment)
        for path in paths
        for line, comment in comments(path)
        if _ANY.search(comment)
    ]


def test_no_suppression_covers_everything():
    assert [place for place, comment in suppressions(modules()) if _NOQA.search(comment)] == []
    assert [
        place
        for place, comment in suppressions(modules())
        if re.search(r"type:\s*ignore(?!\[)", comment)
    ] == []


def test_a_suppression_in_the_product_gives_its_reason():
    bare = [place for place, comment in suppressions(sources()) if not _REASON.search(comment)]
    assert len(bare) <= BARE_MAX, bare
