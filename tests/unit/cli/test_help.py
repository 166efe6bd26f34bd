"""The help texts and the error codes are the reviewed ones, and the generated page is not stale."""

import re

import pytest

from tests.golden.update import FILES, ROOT, _parsers, parser

NAMES = sorted(name for name in FILES if not name.endswith("openapi.json"))


@pytest.mark.parametrize("name", NAMES)
def test_generated_file_is_not_stale(name):
    assert (ROOT / name).read_text(encoding="utf-8") == FILES[name](), (
        "review the change, then python -m tests.golden.update"
    )


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_every_option_has_help_in_the_language(locale):
    for each in _parsers(parser(locale)):
        for action in each._actions:
            if action.dest == "==SUPPRESS==" or not (action.option_strings or action.metavar):
                continue
            if hasattr(action, "choices") and action.choices and not action.help:
                continue  # the list of commands: each has help of its own
            assert action.help, (each.prog, action.dest)
            has_chinese = bool(re.search(r"[\u4e00-\u9fff]", action.help))
            assert has_chinese == (locale == "zh"), (each.prog, action.dest)


def test_every_command_is_in_the_reference():
    page = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
    for each in _parsers(parser("en")):
        if not any(
            hasattr(action, "choices") and isinstance(action.choices, dict)
            for action in each._actions
        ):
            assert f"`{each.prog.removeprefix('middleplatform ')}" in page, each.prog
