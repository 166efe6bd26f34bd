"""The contracts of import-linter speak of what exists, and of all of it."""

import ast
import sys
import tomllib

from tree import ROOT, SOURCES, imports, relative, sources, tree

CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]
CONTRACTS = {contract["name"].split(":")[0]: contract for contract in CONFIG["contracts"]}
# Modules that the product itself does not call, with the reason; this list only shrinks.
UNCALLED = {
    "connectors/conformance.py": "a kit for whoever writes a connector",
    "connectors/kernels.py": "the tag kernel of private joins, which no plan uses yet",
    "middleplatform/audit/seal.py": "a recipe: no entry has a sealed part yet",
    "middleplatform/audit/witness.py": "for a department's or an auditor's own program",
    "middleplatform/policy/explain.py": "tells a rule to officers; no command shows it yet",
}
BANNED = {"utils", "helpers", "common", "manager", "managers", "base", "misc", "util"}


def layers():
    named = CONTRACTS["Layers"]["layers"]
    return [name.strip() for line in named for name in line.split("|")]


def exists(dotted):
    path = ROOT.joinpath(*dotted.split("."))
    return (path / "__init__.py").exists() or path.with_suffix(".py").exists()


def test_every_layer_exists_and_every_package_is_in_a_layer():
    found = {
        path.stem if path.is_file() else path.name
        for path in (ROOT / "middleplatform").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert sorted(layers()) == sorted(found - {"__init__"})


def test_every_module_that_a_contract_names_exists():
    missing = [
        f"{name}: {module}"
        for name, contract in CONTRACTS.items()
        for key in ("source_modules", "protected_modules", "allowed_importers", "forbidden_modules")
        for module in contract.get(key, ())
        if module.split(".")[0] in SOURCES and not exists(module)
    ]
    assert missing == []


def test_the_contract_of_the_spi_names_every_connector():
    forbidden = set(CONTRACTS["The SPI knows no implementation"]["forbidden_modules"])
    present = {
        f"connectors.{path.stem}"
        for path in (ROOT / "connectors").glob("*.py")
        if path.stem not in ("__init__", "spi")
    }
    assert forbidden >= {name for name in present if not name.startswith("connectors.reference_")}
    assert not any(name.startswith("connectors") for name in imports(ROOT / "connectors/spi.py"))


def test_every_connector_of_the_entry_points_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for target in project["entry-points"]["middleplatform.connectors"].values():
        assert exists(target.split(":")[0])


def test_the_auditors_file_imports_the_standard_library_and_one_signature_check():
    found = imports(ROOT / "middleplatform/audit/verify.py")
    outside = {name for name in found if name.split(".")[0] not in sys.stdlib_module_names}
    assert not any(name.split(".")[0] in SOURCES for name in found)
    assert {name.split(".")[0] for name in outside} <= {"cryptography"}


def test_no_module_has_a_name_that_says_nothing():
    assert [relative(path) for path in sources() if path.stem in BANNED] == []


def test_no_module_of_the_product_is_dead():
    """A module that nobody imports, runs or names as an entry point is dead."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = [
        *project["scripts"].values(),
        *project["entry-points"]["middleplatform.connectors"].values(),
    ]
    alive = {target.split(":")[0] for target in entries}
    for path in sources():
        alive |= _named_by(path)
    dead = {
        relative(path) for path in sources() if not _special(path) and _dotted(path) not in alive
    }
    assert dead == set(UNCALLED)


def _special(path):
    return path.stem in ("__init__", "__main__")


def _dotted(path):
    return relative(path).removesuffix(".py").replace("/", ".")


def _named_by(path):
    """Return what a module imports or names in a string, and names that could be modules of a package."""
    found = set(imports(path))
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value.split(":")[0])
    return found
