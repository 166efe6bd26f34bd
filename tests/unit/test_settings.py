from dataclasses import fields
from pathlib import Path

import pytest

from middleplatform.errors import ConfigError
from middleplatform.settings import Settings, load


def refused(**values):
    with pytest.raises(ConfigError) as caught:
        Settings(**values)
    assert caught.value.code == "C003"
    return caught.value.parts["what"]


def test_defaults_stand_without_file_and_environment():
    assert load(None, {}) == Settings()


def test_the_environment_wins_over_the_file(tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('port = 1000\nstate = "here"\nthreads = 3\n', encoding="utf-8")
    found = load(file, {"MIDDLEPLATFORM_PORT": "2000", "OTHER": "x"})
    assert (found.port, found.state, found.threads) == (2000, Path("here"), 3)


def test_an_empty_folder_means_the_shipped_one():
    assert load(None, {"MIDDLEPLATFORM_CATALOG": ""}).catalog is None
    assert load(None, {"MIDDLEPLATFORM_CATALOG": "x"}).catalog == Path("x")


def test_a_home_folder_is_expanded():
    assert "~" not in str(load(None, {"MIDDLEPLATFORM_STATE": "~/state"}).state)


@pytest.mark.parametrize("name", ["queries_max", "deadline_s", "memory_mb", "threads"])
def test_limits_are_at_least_one(name):
    assert name in refused(**{name: 0})
    assert getattr(Settings(**{name: 1}), name) == 1


def test_the_decrees_retention_cannot_be_shortened():
    assert "3" in refused(retention_years=2)
    assert Settings(retention_years=3)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_port(port):
    assert "port" in refused(port=port)


@pytest.mark.parametrize(
    ("text", "named"),
    [("no = toml = x", "settings.toml"), ("nothing = 1", "nothing"), ('port = "many"', "port"), ("threads = 1.5", "threads"), ("queries_max = 0", "queries_max")],
)  # fmt: skip
def test_a_bad_file_is_refused_by_name(tmp_path, text, named):
    file = tmp_path / "settings.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert caught.value.code == "C003"
    assert named in caught.value.parts["what"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError) as caught:
            load(path, {})
        assert caught.value.code == "C003"
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError):
        load(tmp_path / "bytes.toml", {})


def test_every_setting_is_documented():
    assert all(f"{item.name}: " in Settings.__doc__ for item in fields(Settings))
