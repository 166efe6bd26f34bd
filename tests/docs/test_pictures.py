"""Does the picture of costs show what was measured, and every point of it?"""

import json
import math
import re
from xml.dom import minidom

import pytest

from benchmarks import curves
from benchmarks.picture import Panel, svg


@pytest.fixture(scope="module")
def measured():
    return json.loads(curves.POINTS.read_text(encoding="utf-8"))


def test_the_picture_is_the_drawing_of_the_points_that_are_kept(measured):
    assert curves.PICTURE.read_text(encoding="utf-8") == curves.drawing(measured)


def test_every_point_is_in_the_picture(measured):
    shown = curves.PICTURE.read_text(encoding="utf-8").count("<circle")
    values = ("seconds", "processor_s", "wire_mb")
    assert shown == sum(value in point for point in measured["points"] for value in values) > 0


def test_points_lie_inside_their_panel_in_their_order():
    curve = [(10, 0.02), (1000, 3.0), (31623, 40.0)]
    drawn = svg([Panel("title <&>", "across", "up", {"one": curve})], 1, ("told",))
    minidom.parseString(drawn)
    places = [(float(x), float(y)) for x, y in re.findall(r"<circle cx='(\S+)' cy='(\S+)'", drawn)]
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    box = re.search(r"<rect x='(\d+)' y='(\d+)' width='(\d+)' height='(\d+)' fill='none'", drawn)
    left, top, width, height = map(float, box.groups())
    assert all(left <= x <= left + width and top <= y <= top + height for x, y in places)
    part = (places[1][0] - places[0][0]) / (places[2][0] - places[0][0])
    assert math.isclose(part, 2 / 3.5, abs_tol=0.01)
