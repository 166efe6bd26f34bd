"""Only our own connectors, and those that the node's settings name, are ever loaded."""

from importlib import metadata
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

import connectors
from connectors.duckdb import DuckDBConnector
from connectors.memory import MemoryConnector
from connectors.registry import BUILT_IN, GROUP, check_owner, connector_factory
from connectors.spi import ConnectorError, ErrorKind


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that puts a distribution on the path."""

    def install(name, entry="", top_level="", module="", record=""):
        info = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entry}\n" if entry else "")
        (info / "top_level.txt").write_text(top_level)
        (info / "RECORD").write_text(record)
        if module:
            (tmp_path / f"{module}.py").write_text(
                "from connectors.memory import MemoryConnector as Theirs\n"
            )
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


def refused(name, allowed=None):
    with pytest.raises(ConnectorError) as caught:
        connector_factory(name, allowed)
    return caught.value.kind is ErrorKind.REFUSED


def test_built_in_connectors_need_no_allow_list():
    assert connector_factory("duckdb") is DuckDBConnector
    assert connector_factory("memory") is MemoryConnector


def test_installed_connector_is_refused_until_it_is_allowed(installed):
    installed("acme-lake", "lake = acme_lake_a:Theirs", module="acme_lake_a")
    assert refused("lake")
    assert refused("lake", {"pond": "acme-lake"})
    assert connector_factory("lake", {"lake": "Acme_Lake"}) is MemoryConnector


def test_allowed_name_from_another_distribution_is_refused(installed):
    installed("evil", "lake = acme_lake_b:Theirs", module="acme_lake_b")
    assert refused("lake", {"lake": "acme-lake"})


def test_name_that_two_distributions_offer_is_refused(installed):
    installed("acme-lake", "lake = acme_lake_c:Theirs", module="acme_lake_c")
    installed("evil", "lake = acme_lake_c:Theirs")
    assert refused("lake", {"lake": "acme-lake"})


def test_built_in_name_cannot_be_taken_over(installed):
    installed("evil", "duckdb = acme_lake_d:Theirs", module="acme_lake_d")
    assert connector_factory("duckdb", {"duckdb": "evil"}) is DuckDBConnector


def test_nothing_is_loaded_when_another_distribution_owns_the_package(installed):
    check_owner()
    installed("evil", top_level="connectors\n")
    assert refused("memory")


@pytest.mark.parametrize(
    "path",
    [
        "connectors/__init__.py", "connectors/lib.so", "connectors.py", "../connectors/x.py", "./connectors/x.py", "connectors.abi3.so",
        f"connectors{EXTENSION_SUFFIXES[0]}", "connectors.pyc", '"connectors/a,b.py"',
    ],
)  # fmt: skip
def test_nothing_is_loaded_when_another_distribution_installed_into_the_package(installed, path):
    installed("evil", record=f"evil/__init__.py,sha256=a,1\n{path},sha256=b,2\n")
    assert refused("memory")


@pytest.mark.parametrize("name", ["RECORD", "installed-files.txt", "SOURCES.txt", "top_level.txt"])
@pytest.mark.parametrize(
    "line",
    [
        "connectors/x.py", '"connectors/a,b.py"', "./connectors/x.py", ".//connectors//x.py", "connectors", "connectors.py", "connectors.pyc",
        "connectors.so", "connectors.abi3.so", f"connectors{EXTENSION_SUFFIXES[0]}", "evil.py\rconnectors/x.py", "evil.py\x0cconnectors.so",
        " connectors", "evil connectors", "evil\tconnectors\x85other", "connectors.pth", "connectors.d/x.py", "/lib/connectors/x.py", "../../connectors/x.py",
    ],
)  # fmt: skip
def test_whatever_the_standard_library_finds_is_found(tmp_path, monkeypatch, name, line):
    info = tmp_path / ("evil.dist-info" if name == "RECORD" else "evil.egg-info")
    info.mkdir()
    (info / ("METADATA" if name == "RECORD" else "PKG-INFO")).write_text("Name: evil\n")
    (info / name).write_text(
        f"{line},sha256=b,2\n" if name == "RECORD" else f"{line}\n", newline=""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    if "evil" in metadata.packages_distributions().get("connectors", ()):
        assert refused("memory")


@pytest.mark.parametrize("path", ["evil/connectors/x.py", "connectors_evil/x.py", "connectors.pyi", "evil/connectors.py"])  # fmt: skip
def test_a_package_of_a_like_name_is_another(installed, path):
    installed("evil", top_level="connectors_evil\n", record=f"{path},sha256=b,2\n")
    check_owner()


def test_nothing_is_loaded_when_the_package_is_spread_over_folders(monkeypatch, tmp_path):
    monkeypatch.setattr(connectors, "__path__", [*connectors.__path__, str(tmp_path)])
    assert refused("memory")


def test_project_metadata_offers_exactly_the_built_in_connectors():
    ours = {
        entry.name: entry.value
        for entry in metadata.entry_points(group=GROUP)
        if entry.dist.name == "middleplatform"
    }
    assert ours == dict(BUILT_IN)
