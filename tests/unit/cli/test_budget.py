"""``budget show`` and ``--noise`` on the command line, in both languages."""

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from middleplatform.errors import SourceError
from middleplatform.model.budget import Balance, Left, Snapshot
from middleplatform.model.policy import PrivacyRule

WHO = ("--as", "analyst_drc")
ASK = ("query", "SELECT 1", *WHO, "--purpose", "statistics")
RULE = PrivacyRule()
DATASETS = {"ga": "ga.population", "amr_990101": "amr_county.inspection"}


class Dispatcher:
    """One department has a dataset of its own, one a part of a dataset; the others are down."""

    def link(self, name):
        return _Link(name)


class _Link:
    def __init__(self, name):
        self.name = name

    async def budget(self, project, analyst):
        del project, analyst
        if self.name not in DATASETS:
            raise SourceError("S001", department=self.name)
        snapshot = Snapshot(DATASETS[self.name])
        left = Left(snapshot, RULE, Fraction(1, 3), Fraction(1, 3), Fraction(1, 50))
        return [Balance(self.name, left)]


def offer(gateway):
    gateway.dispatcher = Dispatcher()
    datasets = {
        name: replace(rule, disclosure=replace(rule.disclosure, privacy=RULE))
        for name, rule in gateway.bundle.datasets.items()
    }
    gateway.bundle = replace(gateway.bundle, datasets=datasets)


def offer_none(gateway):
    offer(gateway)
    datasets = {
        name: replace(rule, disclosure=replace(rule.disclosure, privacy=None))
        for name, rule in gateway.bundle.datasets.items()
    }
    gateway.bundle = replace(gateway.bundle, datasets=datasets)


def test_what_is_left_is_shown_for_everybody_the_project_and_oneself(shell):
    shell.prepare = offer
    ran = shell("budget", "show", *WHO)
    assert ran.code == 0
    for text in ("ga.population", "first", "everybody", "project drc", "rho 2/3", "rho 1/6", "rho 23/100", "epsilon 1.1633", "delta 1/1000000000"):  # fmt: skip
        assert text in ran.out
    assert "could not be asked: S001" in ran.err


def test_the_same_in_chinese(shell):
    shell.prepare = offer
    ran = shell("budget", "show", *WHO, "--locale", "zh")
    for text in ("数据集", "快照", "剩余", "全部", "项目 drc", "本人"):
        assert text in ran.out
    assert "无法询问部门" in ran.err


def test_json_is_the_documented_shape(shell):
    shell.prepare = offer
    found = json.loads(shell("budget", "show", *WHO, "--json").out)
    assert set(found) == {"project", "analyst", "budgets", "missing"}
    assert found["budgets"][0]["left"]["least"]["rho"] == "1/6"


def test_where_nothing_is_offered_it_says_so(shell):
    shell.prepare = offer_none
    assert "No dataset offers" in shell("budget", "show", *WHO).err


def test_a_project_that_is_not_registered_is_refused(shell):
    shell.prepare = offer
    ran = shell("budget", "show", *WHO, "--project", "mine")
    assert (ran.code, "P004" in ran.err) == (11, True)


@pytest.mark.parametrize(
    ("said", "kept"), [((), ""), (("--noise",), "policy"), (("--noise", "2/100"), "1/50")]
)
def test_noise_is_asked_for_with_and_without_a_loss(shell, said, kept):
    assert shell(*ASK, *said).code == 0
    assert shell.opened[0].gateway.asked[0].noise == kept


def test_nonsense_is_refused_with_its_code(shell):
    ran = shell(*ASK, "--noise", "much")
    assert (ran.code, "Q040" in ran.err) == (10, True)
    ran = shell(*ASK, "--noise=1/0", "--locale", "zh")
    assert "分母不超过" in ran.err


def test_a_part_of_a_dataset_is_named_with_its_department(shell):
    shell.prepare = offer
    for locale, name in (("en", "at amr_990101"), ("zh", "（amr_990101）")):
        out = "".join(shell("budget", "show", *WHO, "--locale", locale).out.split())
        assert name.replace(" ", "") in out.replace("│", "")
        assert "atga" not in out
