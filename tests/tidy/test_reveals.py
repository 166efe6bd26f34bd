"""Public functions of the packages that handle secrets say what each party learns.

The part may stand on the function, on its class, or on the module, where all of it shares one answer. A closed list
names what does not say it yet; the list may only shrink.
"""

import ast

import pytest
from tree import ROOT, relative, sources, tree

PACKAGES = ("crypto", "combine", "disclosure", "node", "enrolment", "wire")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def says(node):
    return "Reveals:" in (ast.get_docstring(node) or "")


def silent(path):
    """Return the public functions and methods of a module that are covered by no ``Reveals`` part."""
    module = tree(path)
    if says(module):
        return []
    found = []
    for node in module.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and not says(node):
            found += [f"{node.name}.{inner.name}" for inner in node.body if _lacks(inner)]
        elif _lacks(node):
            found.append(node.name)
    return [f"{relative(path)}:{name}" for name in found]


def _lacks(node):
    return isinstance(node, _FUNCTIONS) and not node.name.startswith("_") and not says(node)


def known():
    lines = (ROOT / "tests/tidy/reveals_missing.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


@pytest.mark.parametrize("package", PACKAGES)
def test_public_functions_say_what_they_reveal(package):
    folder = f"middleplatform/{package}/"
    missing = {
        name for path in sources() if relative(path).startswith(folder) for name in silent(path)
    }
    assert missing - known() == set()


def test_the_list_of_silent_functions_only_shrinks():
    missing = {name for path in sources() for name in silent(path)}
    assert known() - missing == set(), "these say it now, or are gone: take them off the list"
