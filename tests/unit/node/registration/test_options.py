"""Options are those that the connector takes, of its types, and never a secret."""

from pathlib import Path

import pytest

from connectors.postgres import PostgresOptions
from connectors.registry import BUILT_IN
from middleplatform.errors import ConfigError
from middleplatform.node.registration import options


class ProbeConnector:
    """A connector that keeps what it was made with."""

    def __init__(
        self, path: str | Path, password: str = "", types: dict[str, str] | None = None, *,
        threads: int = 1, deep: bool = False, share: float = 0.5, names: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.made = {
            "path": path, "password": password, "types": types, "threads": threads, "deep": deep, "share": share, "names": names,
        }  # fmt: skip


@pytest.fixture
def probe(monkeypatch):
    monkeypatch.setattr(options, "connector_factory", lambda _kind, _allowed=None: ProbeConnector)


def refused(**given):
    with pytest.raises(ConfigError) as error:
        options.checked("main", "probe", given)
    assert error.value.code == "C013"
    return error.value.message("en")


@pytest.mark.usefixtures("probe")
def test_values_arrive_in_the_types_that_the_connector_takes():
    given = {
        "path": "/data/x", "threads": "4", "deep": "true", "share": "0.25", "names": "a, b", "types": "t.a:decimal(12,2),t.b:date",
    }  # fmt: skip
    made = options.opened("main", "probe", given).made
    assert made == {
        "path": "/data/x", "password": "", "threads": 4, "deep": True, "share": 0.25, "names": ("a", "b"),
        "types": {"t.a": "decimal(12,2)", "t.b": "date"},
    }  # fmt: skip


@pytest.mark.usefixtures("probe")
def test_everything_that_is_wrong_is_told_at_once():
    said = refused(threads="many", deep="perhaps", types="x", other="1")
    for part in ("option threads: must be a number", "option deep: must be true or false", "key:value", "unknown option other", "option path is missing"):  # fmt: skip
        assert part in said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("password", "hunter2"),
        ("path", "postgresql://me:hunter2@db/x"),
        ("path", "Driver=x;PWD=hunter2"),
        ("path", "Driver=x; Password = hunter2"),
    ],
)
@pytest.mark.usefixtures("probe")
def test_a_secret_is_refused_and_not_repeated(key, value):
    said = refused(**({"path": "/x"} | {key: value}))
    assert "a secret does not stand in option" in said
    assert "hunter2" not in said


@pytest.mark.usefixtures("probe")
def test_a_secret_is_read_from_its_file_when_the_source_is_opened(tmp_path):
    file = tmp_path / "word"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    given = {"path": "/x", "password_file": str(file)}
    assert options.checked("main", "probe", given) == given
    assert options.opened("main", "probe", given).made["password"] == "hunter2"
    file.write_text("changed\n")
    assert options.opened("main", "probe", given).made["password"] == "changed"


@pytest.mark.parametrize(
    ("mode", "text", "says"),
    [(0o644, "x", "chmod 600"), (0o600, "", "is empty"), (0o600, None, "cannot be read")],
)
@pytest.mark.usefixtures("probe")
def test_a_secret_that_others_read_or_that_is_none_is_refused(tmp_path, mode, text, says):
    file = tmp_path / "word"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(ConfigError, match=says):
        options.opened("main", "probe", {"path": "/x", "password_file": str(file)})


@pytest.mark.usefixtures("probe")
def test_a_secret_of_the_environment_must_be_there(monkeypatch):
    given = {"path": "/x", "password_env": "PROBE_WORD"}
    with pytest.raises(ConfigError, match="PROBE_WORD is not set"):
        options.opened("main", "probe", given)
    monkeypatch.setenv("PROBE_WORD", "hunter2")
    assert options.opened("main", "probe", given).made["password"] == "hunter2"


@pytest.mark.usefixtures("probe")
def test_a_path_is_kept_whole_because_the_node_starts_elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert options.checked("main", "probe", {"path": "x.db"})["path"] == str(tmp_path / "x.db")


def test_options_of_a_connector_that_takes_them_as_a_class_are_known():
    assert "postgres" in BUILT_IN
    taken = options._takes("main", "postgres", None)
    assert set(taken) == set(PostgresOptions.__dataclass_fields__)
    with pytest.raises(ConfigError, match="option port: must be a number"):
        options.checked("main", "postgres", {"host": "db", "port": "many"})


def test_an_unknown_kind_names_those_that_there_are():
    with pytest.raises(ConfigError, match=r"there are .*duckdb"):
        options.checked("main", "nonsense", {})


def test_a_third_party_kind_must_be_offered_by_the_distribution_named():
    with pytest.raises(ConfigError, match="no connector of kind 'other'"):
        options.checked("main", "other", {}, {"other": "someone-elses"})


@pytest.mark.parametrize("text", ["path", "=x", "a b=1", "path="])
def test_an_option_is_key_and_value(text):
    with pytest.raises(ConfigError, match="is not key=value"):
        options.parsed("main", [text])


def test_an_option_is_given_once():
    with pytest.raises(ConfigError, match="given twice"):
        options.parsed("main", ["path=a", "path=b"])
