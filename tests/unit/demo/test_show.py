"""Does the demonstration print and report how far a noisy value may be from the one before noise?"""

import io
import json

from rich.console import Console

from middleplatform.demo.show import Outcome, _print_answer
from middleplatform.demo.shown import Shown
from middleplatform.policy import suite
from middleplatform.policy.examples import example
from tests.fakes.doors import noisy_release

CASE = next(case for each in suite.load(example("demo")) for case in each.cases if case.id == "D03")


def outcome(intervals):
    made = noisy_release()
    answer = Shown("local", made.table, made.marks, (), (), 7, ("health",), intervals=intervals)
    return Outcome("D03", CASE, answer, None)


def printed(made):
    console = Console(file=io.StringIO(), width=120)
    _print_answer(made, made.answer, console, "en", set())
    return console.file.getvalue()


def test_noisy_values_are_printed_with_half_widths_and_reported_with_all_digits():
    made = outcome(noisy_release().intervals)
    told = printed(made)
    assert "15 ± 12.3" in told
    assert "7.25 ± 0.513" in told
    assert told.count("±") == 3, (
        "no withheld value, no label and no value without an interval has one"
    )
    row = json.loads(json.dumps(made.row()))
    assert row["intervals"] == [[None, 12.25, None], [None, None, None], [None, 12.25, 0.51234]]


def test_other_answers_have_none():
    made = outcome(None)
    assert "±" not in printed(made)
    assert made.row()["intervals"] is None
