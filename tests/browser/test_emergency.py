"""An emergency and a dispute from hand to hand, on a small screen: each person at the own page, by its forms."""

import re

import pytest
from playwright.sync_api import expect

COLUMN = "ss.insurance.contribution_base"
LAW = "《政务数据共享条例》第二十七条"
HANDLING = {
    "officer_a": ("Applications and emergencies", "申请与应急授权"),
    "steward_ss": ("Applications to answer", "待答复申请"),
    "bureau": ("Applications to answer", "待答复申请"),
}


@pytest.fixture(params=["en", "zh"])
def language(request):
    return request.param


@pytest.fixture
def desk(entered, language):
    """Return what opens an application's page as somebody finds it: by the navigation, under what waits."""

    def find(person, number):
        made = entered(person, language, width=360)
        page = made.open("/console")
        name = made.say(*HANDLING[person])
        line = page.get_by_role("navigation").get_by_role("listitem").filter(has_text=name)
        expect(line.locator(".count")).to_contain_text(re.compile(r"^[1-9]"))
        line.get_by_role("link").click()
        page.get_by_role("link", name=re.compile(made.say("Waiting for me", "待我处理"))).click()
        page.get_by_role("link", name=number, exact=True).click()
        return made

    return find


def unfold(page):
    """Open everything that is folded."""
    folded = page.locator("details:not([open]) > summary")
    for _ in range(folded.count()):
        folded.first.click()


def act(made, heading, button, **typed):
    """Open an act's form, fill it in, and send it; every form of the page is looked at before."""
    page = made.page
    unfold(page)
    assert made.axe() == []
    assert made.overflow() <= 0
    form = page.locator("details", has=page.get_by_text(made.say(*heading), exact=True))
    for name, text in typed.items():
        form.locator(f"[name={name.replace('_', '-')}]").fill(text)
    form.get_by_role("button", name=made.say(*button), exact=True).click()
    return expect(page.get_by_role("main"))


def apply(analyst):
    """Apply in an emergency, first for too long; return the number."""
    say, page = analyst.say, analyst.open("/console/my/applications")
    page.get_by_role("link", name=say("Apply in an emergency", "应急申请"), exact=True).click()
    unfold(page)
    page.locator(f'input[name=column][value="{COLUMN}"]').check()
    page.get_by_label(say("Purpose", "使用目的")).select_option("statistics")
    for name, text in (("basis", LAW), ("scenario", "防汛"), ("scope", "全市"), ("hours", "999")):
        page.locator(f"[name={name}]").fill(text)
    assert analyst.axe() == []
    page.get_by_role("button", name=say("Submit", "提交"), exact=True).click()
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("[name=scenario]")).to_have_value("防汛")
    analyst.shoot("emergency-refused")
    page.locator("[name=hours]").fill("48")
    page.get_by_role("button", name=say("Submit", "提交"), exact=True).click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_contain_text(say("Application GX", "申请 GX"))
    return re.search(r"GX\d+", heading.inner_text())[0]


def test_an_emergency_is_approved_stopped_and_disputed(entered, desk, language):
    analyst = entered("analyst_drc", language, width=360)
    number, say, page = apply(analyst), analyst.say, analyst.page
    officer = desk("officer_a", number)
    approve = ("Approve", "批准")
    act(
        officer,
        ("Approve the emergency as security officer", "以安全管理员身份批准应急申请"),
        approve,
    ).to_contain_text(say("You approved the emergency.", "已批准该应急申请。"))
    officer.shoot("emergency-officer")
    steward = desk("steward_ss", number)
    own = ("Approve the emergency for your columns", "批准本部门数据项的应急申请")
    done = act(steward, own, approve)
    done.to_contain_text(say("You approved the emergency.", "已批准该应急申请。"))
    stop = (("Suspend", "暂停使用"), ("Stop access now", "立即暂停"))
    refused = act(steward, *stop, suspend_reason="核查用途", suspend_basis="口头通知")
    refused.to_contain_text(say("it needs the law it rests on", "须引用依据"))
    expect(steward.page.locator("[name=suspend-reason]")).to_have_value("核查用途")
    stopped = act(steward, *stop, suspend_basis=LAW)
    stopped.to_contain_text(say("Access is stopped.", "已暂停。"))

    page.reload()
    expect(page.get_by_role("list", name=say("Time line", "时间线"))).to_contain_text("核查用途")
    why = {"object_reason": "防汛急需"}
    done = act(
        analyst, ("Object to a provider", "对提供部门提出异议"), ("Object", "提出异议"), **why
    )
    done.to_contain_text(say("negotiation of both sides", "双方协商"))
    up = (("Take the dispute one step up", "将争议提交上一级"), ("Escalate", "提交"))
    done = act(analyst, *up, escalate_reason="协商不成")
    done.to_contain_text(say("data bureau of the same level", "同级主管部门"))
    analyst.shoot("emergency-dispute")
    bureau = desk("bureau", number)
    settle = (("Settle the dispute", "裁决争议"), ("Settle", "裁决"))
    done = act(bureau, *settle, settle_reason="恢复使用")
    done.to_contain_text(say("The dispute is settled.", "争议已了结。"))
    bureau.shoot("emergency-settled")


def test_the_forms_work_without_scripts(entered):
    analyst = entered("analyst_drc", width=360, java_script_enabled=False)
    page = analyst.open("/console/my/applications/emergency")
    page.locator("details", has=page.locator(f'input[value="{COLUMN}"]')).locator("summary").click()
    page.locator(f'input[name=column][value="{COLUMN}"]').check()
    for name, text in (("basis", LAW), ("scenario", "防汛"), ("scope", "全市"), ("hours", "2")):
        page.locator(f"[name={name}]").fill(text)
    page.get_by_role("button", name="Submit", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Application GX")
    page.get_by_text("Withdraw for good", exact=True).click()
    page.locator("[name=withdraw-reason]").fill("试验")
    page.get_by_label("I know that this cannot be undone").check()
    page.get_by_role("button", name="Withdraw", exact=True).click()
    expect(page.get_by_role("main")).to_contain_text("It is withdrawn for good.")
