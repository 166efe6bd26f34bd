"""Does the command tell by its exit code and report whether the defence held?"""

import json

from middleplatform.cli.program import run


def asked(capsys, *arguments):
    code = run(["attack", "--local", "--json", "--targets", "60", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_an_attack_that_succeeds_is_an_exit_code_of_one(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, (found,) = asked(capsys, "--threshold-only", "suppressed")
    assert code == 1
    assert not found["held"]
    assert float(found["success"]) > 0.95


def test_an_attack_that_fails_is_an_exit_code_of_zero(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, (found,) = asked(capsys, "suppressed")
    assert code == 0
    assert found["held"]
    assert found["questions"] == 16


def test_the_dataset_is_written_as_a_gateway_needs_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["attack", "--write", "attacked"]) == 0
    names = {path.name for path in (tmp_path / "attacked").iterdir()}
    assert names == {"bundle", "catalog", "data", "settings.toml"}
