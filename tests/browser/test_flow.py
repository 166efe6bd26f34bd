"""From a dataset that nobody may ask to an answer that an auditor verifies: people at their pages, by click and key.

The service begins with the demonstration's policy less two datasets, one for each language; the tests share it.
"""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from middleplatform.policy.examples import example
from tests.browser.service import Service, serving

NEW = {"en": "amr.inspection", "zh": "amr_county.inspection"}
"""The dataset that is classified: one department holds the first, six hold the second together."""
PURPOSES = {"en": ("statistics", "统计分析"), "zh": ("public service planning", "公共服务规划")}
"""What is applied for; one application a language."""
CLOSED = "ss.insurance.contribution_base"
GRANTED = "SELECT plan_code, AVG(contribution_base) AS base FROM ss.insurance GROUP BY plan_code"


def lacking(folder: Path) -> Path:
    """Write the demonstration's bundle without the rules of the new datasets and the cases that need them."""
    place = Path(shutil.copytree(str(example("demo")), folder / "bundle"))
    rules, suite = place / "columns.yaml", place / "columns_test.yaml"
    blocks = re.split(r"(?m)^(?=  \S+:(?: |$))", rules.read_text(encoding="utf-8"))
    kept = [
        each
        for each in blocks
        if not each.strip().startswith(tuple(f"{name}:" for name in NEW.values()))
    ]
    assert len(blocks) - len(kept) == len(NEW)
    rules.write_text("".join(kept), encoding="utf-8")
    cases = re.split(r"(?m)^(?=  - id: )", suite.read_text(encoding="utf-8"))
    kept = [each for each in cases if not any(name in each for name in NEW.values())]
    assert len(cases) > len(kept) > 50
    suite.write_text("".join(kept), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def platform(tmp_path_factory, demo_data):
    """The service under the policy that lacks the new datasets."""
    folder = tmp_path_factory.mktemp("flow")
    with serving(folder / "state", demo_data, lacking(folder)) as running:
        yield running


class Person:
    """Somebody at the console, in a browser of their own, who logged in by typing the code."""

    def __init__(self, tab, platform: Service, name: str, language: str) -> None:
        self.tab = tab(platform.url, language, whose=name)
        self.page, self.name, self.seen = self.tab.page, name, 0
        self.say = self.tab.say
        self.tab.open("/console")
        self.page.get_by_label(self.say("Login code", "登录码")).fill(platform.codes[name])
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", level=1)).to_contain_text(name)

    def look(self, heading: str | re.Pattern = "", part: str | None = None) -> None:
        """Wait for the page of that heading, keep its picture, and fail for anything wrong with it, or with a part."""
        if heading:
            expect(self.page.get_by_role("heading", level=1)).to_contain_text(heading)
        self.tab.settle()
        self.seen += 1
        self.tab.shoot(f"flow-{self.name}-{self.seen:02}", whole=part is None)
        self.tab.check()
        found = self.tab.axe(part)
        assert not found, "\n".join((self.page.url, *found))

    def walk(self, english: str, chinese: str) -> None:
        """Follow the navigation."""
        links = self.page.get_by_role("navigation", name=self.say("Console", "控制台"))
        links.get_by_role("link", name=self.say(english, chinese), exact=True).click()

    def follow(self, name: str | re.Pattern) -> None:
        """Follow a link of the page."""
        self.page.get_by_role("main").get_by_role("link", name=name).first.click()

    def press(self, english: str, chinese: str) -> None:
        """Press a button of the page; where it lies behind a heading, open that before."""
        main = self.page.get_by_role("main")
        name = {"name": self.say(english, chinese), "exact": True}
        hidden = self.page.get_by_role("button", **name, include_hidden=True)
        closed = main.locator("details:not([open])", has=hidden)
        for place in closed.all():
            place.locator("summary").first.click()
        main.get_by_role("button", **name).click()

    def confirm(self, english: str, chinese: str, **typed: str) -> None:
        """Press a button that asks before it acts, look at what it asks, fill it in, and say yes."""
        self.press(english, chinese)
        asked = self.page.get_by_role("dialog")
        expect(asked).to_be_visible()
        for name, text in typed.items():
            asked.locator(f"[name={name}]").fill(text)
        self.look(part="dialog[open]")
        asked.get_by_role("button", name=self.say(english, chinese), exact=True).click()

    def told(self, english: str, chinese: str) -> None:
        """Fail unless the page says so at its top."""
        expect(self.page.get_by_role("status").first).to_contain_text(self.say(english, chinese))

    def waiting(self, english: str, chinese: str) -> None:
        """Fail unless one thing waits under that name on the first page; go there."""
        link = self.page.get_by_role("link", name=self.say(english, chinese), exact=True)
        card = self.page.locator(".card", has=link)
        expect(card).to_contain_text(self.say("1 waiting", "1 项待办"))
        card.get_by_role("link").click()

    def ask(self, sql: str, purpose: str) -> None:
        """Write a question at its page and look at what is underlined; then send it."""
        self.walk("Ask", "查询")
        self.page.locator(".cm-content").click()
        self.page.keyboard.insert_text(sql)
        self.page.get_by_label(self.say("Purpose", "使用目的")).select_option(purpose)


@pytest.fixture(params=["en", "zh"])
def language(request):
    return request.param


@pytest.fixture
def person(tab, platform, language):
    """Return what lets somebody sit down, or turns to who sits already: ``person("officer_a")``."""
    seated: dict[str, Person] = {}

    def find(name: str) -> Person:
        if name not in seated:
            seated[name] = Person(tab, platform, name, language)
        return seated[name]

    return find


def test_from_a_new_dataset_to_an_answer_that_an_auditor_verifies(person, language, tmp_path):
    dataset = NEW[language]
    classify(person("officer_a"), dataset)
    approve(person("steward_amr"), publishing=False)
    approve(person("officer_b"), publishing=True)
    refused_without_a_grant(person("analyst_drc"), PURPOSES[language])
    grant(person)
    answered(person("analyst_drc"), PURPOSES[language])
    refused_and_taken_otherwise(person("analyst_drc"), dataset)
    verify(person("auditor"), dataset, tmp_path)


def classify(officer: Person, dataset: str) -> None:
    """Classify a new dataset's columns in one draft, and propose it."""
    page, say = officer.page, officer.say
    officer.look()
    officer.walk("Policy", "策略")
    officer.look(say("Policy", "策略"))
    officer.follow(say("Classification board", "分类分级看板"))
    page.get_by_label(say("Dataset", "数据集")).select_option(dataset)
    officer.press("Search", "搜索")
    expect(page.get_by_role("row")).to_have_count(4)
    expect(page.get_by_role("cell", name=say("unclassified", "未分类"))).to_have_count(3)
    officer.look(say("Classification", "分类分级"))

    officer.follow(re.compile(rf"{re.escape(dataset)}\.uscc$"))
    officer.press("Write into a draft", "写入草稿")
    expect(page.locator(".error")).to_be_visible()  # for what it may be used is not said yet
    officer.look()
    page.get_by_label(say("statistics", "统计分析")).check()
    officer.press("Write into a draft", "写入草稿")
    officer.look(say("Draft", "草稿"))
    for column, use in (("inspect_year", ("dimension", "维度")), ("score", ("measure", "度量"))):
        page.get_by_label(say("Column", "列"), exact=True).select_option(f"{dataset}.{column}")
        officer.press("Classify in this draft", "在此草稿中分类")
        page.get_by_label(say(*use), exact=True).check()
        officer.look(say("Classify", "分类"))
        officer.press("Write into a draft", "写入草稿")
    officer.press("Check, test and compare", "检查、测试并比较")
    expect(page.locator("#checked")).to_contain_text(say("a steward of amr", "amr 的数据管理员"))
    officer.look(say("Draft", "草稿"))
    page.get_by_label(say("Reason", "理由")).fill(say("for yearly statistics", "用于年度统计"))
    officer.press("Propose", "提出")
    officer.look(say("Proposal", "提案"))
    expect(page.get_by_text(say("missing", "尚缺"), exact=True)).to_have_count(2)


def approve(who: Person, *, publishing: bool) -> None:
    """Read the proposal that waits, approve it, and publish it where it is complete now."""
    who.look()
    who.waiting("Policy", "策略")
    who.page.get_by_role("table").first.get_by_role("link").first.click()
    who.look(who.say("Proposal", "提案"))
    who.confirm("Approve", "批准", comment=who.say("as the catalogue says", "与目录一致"))
    who.told("Approved.", "已批准")
    if publishing:
        who.confirm("Publish", "发布")
        who.look(who.say("in force", "现行"))


def refused_without_a_grant(analyst: Person, purpose: tuple[str, str]) -> None:
    """Ask for what is conditional, be refused, and apply for it from there."""
    page, say = analyst.page, analyst.say
    analyst.look()
    analyst.ask(GRANTED, say(*purpose))
    expect(page.locator(".cm-lintRange-error").first).to_have_text("contribution_base")
    analyst.press("Ask", "提交查询")
    analyst.look(say("Refused by policy", "策略拒绝"))
    analyst.follow(say("Apply for a grant", "申请授权"))
    expect(page.locator(f"input[value='{CLOSED}']")).to_be_checked()
    page.get_by_label(say("Purpose", "使用目的")).select_option(say(*purpose))
    page.get_by_label(say("Basis", "使用依据")).fill("《社会保险法》第七十四条")
    page.get_by_label(say("Scenario", "使用场景")).fill(say("contribution report", "缴费基数测算"))
    page.get_by_label(say("Scope", "使用范围")).fill(say("the whole city", "全市参保人员"))
    analyst.look(say("Apply for data", "申请数据"))
    analyst.press("Submit", "提交")
    analyst.told("is submitted", "已提交")
    analyst.look(say("Application", "申请"))


def grant(person) -> None:
    """Have the application signed, checked and answered, by whom each is for."""
    steward, bureau, provider = map(person, ("steward_drc", "bureau", "steward_ss"))
    steward.waiting("My applications", "我的申请")
    steward.look(steward.say("Applications of my department", "本部门的申请"))
    steward.follow(re.compile("^GX"))
    steward.look(steward.say("Application GX", "申请 GX"))
    steward.press("Sign", "签署")
    steward.told("signed", "已签署")
    steward.look()

    for who in (bureau, provider):
        who.page.reload()
        who.look()
        who.waiting("Applications to answer", "待答复申请")
        who.look(who.say("Applications to answer", "待答复申请"))
        who.follow(re.compile("^GX"))
        who.look(who.say("Application", "申请"))
        if who is bureau:
            who.press("Accept", "受理")
            who.told("It is complete", "材料齐全")
        else:
            who.page.get_by_label(who.say("All that is applied for", "全部同意")).check()
            who.press("Answer", "答复")
            who.told("It is answered.", "已答复。")
        expect(who.page.get_by_role("main")).to_contain_text(who.say("sum and average", "聚合"))
        who.look()
    provider.press("It serves it", "已提供")
    provider.told("Your node serves it now.", "本部门节点已提供。")
    expect(provider.page.get_by_role("main")).to_contain_text("GX")


def answered(analyst: Person, purpose: tuple[str, str]) -> None:
    """Ask once more what the grant opens."""
    analyst.ask(GRANTED, analyst.say(*purpose))
    analyst.press("Ask", "提交查询")
    expect(analyst.page.get_by_role("heading", level=1)).to_have_text(analyst.say("Answer", "结果"))
    expect(analyst.page.locator("data-chart svg")).to_be_visible()
    analyst.look()


def refused_and_taken_otherwise(analyst: Person, dataset: str) -> None:
    """Ask of the new dataset what no rule permits, and take the form that is offered."""
    page, say = analyst.page, analyst.say
    sql = f"SELECT inspect_year, MAX(score) AS score FROM {dataset} WHERE inspect_year >= 2015 GROUP BY inspect_year"
    analyst.ask(sql, say("statistics", "统计分析"))
    expect(page.locator(".cm-lintRange-error").first).to_have_text("score")
    analyst.look(say("Ask", "查询"))
    analyst.press("Ask", "提交查询")
    analyst.look(say("Refused by policy", "策略拒绝"))
    expect(page.locator("pre.faults mark").first).to_contain_text("score")
    reason = page.locator(".reasons li").first
    expect(reason).to_contain_text("R3")
    expect(reason).to_contain_text(
        say("Rule of: Market Regulation Bureau", "规则所属：市市场监督管理局")
    )
    analyst.press("Take this form", "采用此写法")
    expect(page.locator(".cm-content")).to_contain_text("AVG(score)")
    analyst.press("Ask", "提交查询")
    analyst.look(say("Answer", "结果"))
    expect(page.locator("data-chart svg")).to_be_visible()
    expect(page.get_by_role("cell", name="2016", exact=True)).to_be_visible()


def verify(auditor: Person, dataset: str, folder: Path) -> None:
    """Find the release in the log, take the report of the decision, and have it checked."""
    page, say = auditor.page, auditor.say
    auditor.look()
    auditor.walk("Audit log", "审计日志")
    page.get_by_label(say("Event", "事件类型")).select_option("released")
    page.get_by_label(say("Names the dataset", "涉及数据集")).select_option(dataset)
    auditor.press("Search", "搜索")
    expect(page.get_by_role("row")).to_have_count(2)
    auditor.look(say("Audit log", "审计日志"))
    auditor.follow(re.compile(r"^\d+$"))
    auditor.look(re.compile(say("Entry", "第")))
    expect(page.locator(".state.passed")).to_contain_text(say("Verified", "校验通过"))
    index = re.search(r"/(\d+)$", page.url)[1]
    reports = {}
    for kind, name in (("html", ("(page)", "（网页）")), ("json", ("(JSON)", "（JSON）"))):
        with page.expect_download() as taken:
            auditor.follow(re.compile(re.escape(say(*name))))
        reports[kind] = folder / f"report.{kind}"
        taken.value.save_as(reports[kind])

    auditor.walk("Proof checker", "证明校验")
    given = page.get_by_label(say("What you hold", "待校验内容"))
    given.fill(reports["json"].read_text(encoding="utf-8"))
    auditor.press("Check", "校验")
    expect(page.locator(".state.passed")).to_contain_text(say("a report of a decision", "决定报告"))
    auditor.look(say("Proof checker", "证明校验"))
    page.get_by_label(say("What you hold", "待校验内容")).fill(index)
    auditor.press("Check", "校验")
    expect(page.locator(".state.passed")).to_contain_text(say(f"Entry {index}", f"第 {index} 条"))
    page.goto(reports["html"].as_uri())
    auditor.look()
    expect(page.get_by_text(dataset).first).to_be_visible()
