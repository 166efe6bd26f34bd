"""The parts that pages are made of, in a browser: with the keyboard, on a small screen, under the content security policy."""

import re

import pytest

LANGUAGES = ("en", "zh")


@pytest.fixture
def parts(tab, specimen):
    """Return what opens the page with every part."""

    def open_parts(language="en", **settings):
        made = tab(specimen.url, language, cookies={"session": "analyst"}, **settings)
        made.open("/console/specimen")
        return made

    return open_parts


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_is_accessible_in_light_and_dark(parts, language):
    for scheme in ("light", "dark"):
        made = parts(language, color_scheme=scheme)
        made.page.locator(".cm-lintRange-error").wait_for()
        made.page.locator("data-chart svg").wait_for()
        made.shoot(f"specimen-{scheme}")
        assert made.axe() == []
