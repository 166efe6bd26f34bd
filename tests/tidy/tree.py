"""The repository as its tidiness tests see it: tracked and new files, and their syntax trees."""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("middleplatform", "connectors", "policies")
_FOLDERS = (*SOURCES, "tests", "benchmarks", "docs", ".ci")
_BUILT = ("__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis", ".pytest_cache")
_BINARY = (".parquet", ".pyc", ".duckdb")


@cache
def files():
    """Return the project's text files: what stands at the top, and the folders that are its own."""
    found = [
        ROOT / name
        for name in (
            "Makefile", "pyproject.toml", "constraints.txt", "LICENSE", ".gitignore",
            "README.md", "README.zh-CN.md", "CHANGELOG.md",
        )
    ]  # fmt: skip
    for folder in _FOLDERS:
        found += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    return tuple(
        path
        for path in sorted(found)
        if path.suffix not in _BINARY and not any(part in _BUILT for part in path.parts)
    )


def relative(path):
    return path.relative_to(ROOT).as_posix()


@cache
def text(path):
    return path.read_text(encoding="utf-8")


@cache
def modules():
    """Return all Python files."""
    return tuple(path for path in files() if path.suffix == ".py")


@cache
def sources():
    """Return the Python files of the product."""
    return tuple(path for path in modules() if relative(path).split("/")[0] in SOURCES)


@cache
def tree(path):
    return ast.parse(text(path))


def functions(path):
    """Yield every function of a module, nested ones included."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def imports(path):
    """Return the dotted names of all modules that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found
