"""Tests keep the house rules too: nothing is skipped, nothing is mocked by a library, nobody waits for a clock."""

import ast

from tree import imports, modules, relative, tree

TESTS = [path for path in modules() if relative(path).startswith("tests/")]
_BANNED_CALLS = {("pytest", "skip"), ("pytest", "importorskip"), ("pytest", "xfail")}
_BANNED_MARKS = {"skip", "skipif"}
_POLLS = (
    "tests/e2e/",
    "tests/simulation/",
    "tests/fakes/node_world.py",
    "tests/fakes/provider_process.py",
)


def attributes(path):
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            yield node


def test_no_mocking_library_is_imported():
    banned = {"unittest.mock", "mock", "pytest_mock", "freezegun"}
    assert [relative(path) for path in TESTS if imports(path) & banned] == []


def test_no_test_is_skipped():
    found = []
    for path in TESTS:
        for node in attributes(path):
            name = node.value.id if isinstance(node.value, ast.Name) else ""
            marked = isinstance(node.value, ast.Attribute) and node.value.attr == "mark"
            if (name, node.attr) in _BANNED_CALLS or (marked and node.attr in _BANNED_MARKS):
                found.append(f"{relative(path)}:{node.lineno}")
    assert found == []


def test_no_test_sleeps_but_those_that_watch_another_process():
    found = [
        f"{relative(path)}:{node.lineno}"
        for path in TESTS
        if not relative(path).startswith(_POLLS)
        for node in attributes(path)
        if isinstance(node.value, ast.Name) and (node.value.id, node.attr) == ("time", "sleep")
    ]
    assert found == []


def test_every_test_file_has_a_test_and_every_test_a_name_that_says_something():
    empty, short = [], []
    for path in TESTS:
        if not path.stem.startswith("test_"):
            continue
        names = [
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.name.startswith("test_")
        ]
        names += [
            node.name
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ClassDef) and "Machine" in node.name
        ]
        if not names:
            empty.append(relative(path))
        short += [f"{relative(path)}:{name}" for name in names if name.count("_") < 1]
    assert (empty, short) == ([], [])
