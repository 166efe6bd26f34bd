"""The security officer's pages over a running platform: every page, every form, both languages."""

import re

import pytest
from analyst_world import opened_world, text_of

HOME = "/console/policy"


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("officer"), demo_data) as made:
        yield made


PATHS = (HOME,)


@pytest.mark.parametrize("path", PATHS)
def test_every_page_opens_in_both_languages(world, path):
    found = [world.get(path, "officer_a", language) for language in ("en", "zh")]
    assert [page.status_code for page in found] == [200, 200]
    assert re.search("[\u4e00-\u9fff]", text_of(found[1]).replace("中文", ""))
    for page in found:
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text)
