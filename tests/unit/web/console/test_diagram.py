"""The picture of an explanation: all parties, every transfer, nothing that a strict policy would stop."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from middleplatform import catalog as catalogs
from middleplatform.model.result import Explanation, Flow, Step
from middleplatform.policy.examples import example
from middleplatform.web.console.diagram import outline, picture, size_text

_NS = "{http://www.w3.org/2000/svg}"
CATALOG = catalogs.load(example("demo") / "catalog")


def _explained(*flows, steps=()):
    return Explanation("permit", "", (), "local", tuple(steps), flows=tuple(flows))


FOUND = _explained(
    Flow("analyst", "gateway", ("the question", "查询"), 200),
    Flow("gateway", "ga", ("a <fragment> & more", "片段"), 5000),
    Flow("ga", "gateway", ("cells", "单元格"), None),
    steps=[
        Step("dispatch", "ga, tax", ("runs", "执行"), "SELECT 1", ("the question", "问题本身")),
        Step("dispatch", "gateway", ("adds", "相加"), "", ("totals", "合计")),
    ],
)


@pytest.mark.parametrize(("locale", "ga"), [("en", "Public Security Bureau"), ("zh", "公安局")])
def test_the_lists_say_all_that_the_picture_shows(locale, ga):
    found = outline(FOUND, CATALOG, locale)
    assert [each.code for each in found.parties] == ["analyst", "gateway", "ga", "tax"]
    assert ga in found.parties[2].name
    assert found.parties[2].learns == (("the question", "问题本身")[locale == "zh"],)
    assert [each.number for each in found.crossings] == [1, 2, 3]
    assert "5 KiB" in found.crossings[1].size
    assert found.crossings[2].size == ("size not known", "大小未知")[locale == "zh"]


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_picture_has_a_name_and_a_text_and_no_style(locale):
    drawn = str(picture(outline(FOUND, CATALOG, locale), "How <it> is answered", locale))
    tree = ET.fromstring(drawn)
    assert tree.findtext(f"{_NS}title") == "How <it> is answered"
    assert "3" in tree.findtext(f"{_NS}desc")
    assert tree.get("role") == "img"
    assert not any({"style", "onload", "href"} & set(each.attrib) for each in tree.iter())
    assert len(tree.findall(f"{_NS}g[@class='flow']")) == 3
    assert len(tree.findall(f"{_NS}g[@class='party']")) == 4


def test_no_box_lies_over_another():
    steps = [
        Step("dispatch", f"d{n}", ("runs " * n, ""), "", ("learns " * n, "")) for n in range(9)
    ]
    tree = ET.fromstring(str(picture(outline(_explained(steps=steps), CATALOG, "en"), "t", "en")))
    boxes = [
        tuple(float(each.get(name)) for name in ("x", "y", "width", "height"))
        for each in tree.iter(f"{_NS}rect")
    ]
    for first in boxes:
        for second in boxes:
            x, y, width, height = first
            apart = second[0] >= x + width or second[1] >= y + height
            assert (
                first is second or apart or second[0] + second[2] <= x or second[1] + second[3] <= y
            )


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), max_size=300))
def test_any_words_are_well_formed(words):
    flow = Flow("analyst", "gateway", (words, words), 1)
    step = Step("dispatch", "gateway", (words, words), "", (words, words))
    drawn = str(picture(outline(_explained(flow, steps=[step]), CATALOG, "en"), words, "en"))
    assert ET.fromstring(drawn).findtext(f"{_NS}title") == words


def test_sizes_are_rounded_up():
    assert [size_text(n) for n in (0, 1023, 1024, 1025, 5 * 2**20 + 1)] == [
        "0 B", "1023 B", "1 KiB", "2 KiB", "6 MiB",
    ]  # fmt: skip
