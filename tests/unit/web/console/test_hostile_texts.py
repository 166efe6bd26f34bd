"""Texts that people store, shown to everybody else: none becomes a part of a page."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from analyst_world import opened_world

EVIL = "<img src=x onerror=alert(1)>\"'><script>alert(1)</script>{{7*7}}=1+1"
ASKED = quote(EVIL)


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("texts"), demo_data) as made:
        yield made


@pytest.fixture(scope="module")
def stored(world):
    """One of everything that holds a text, and the addresses of the ticket and the application."""

    def done(address, person, status=303, **fields):
        found = world.post(address, person, **fields)
        assert found.status_code == status, address
        return found.headers.get("location", "")

    done("/console/freezes", "officer_a", scope="project", target=EVIL, reason=EVIL)
    done("/console/freezes/1/end", "officer_b", reason=EVIL)
    ticket = done("/console/tickets/new", "analyst_drc", about="ga.population.sex", kind="objection", text=EVIL)  # fmt: skip
    done(f"{ticket}/take", "steward_ga")
    done(f"{ticket}/answer", "steward_ga", outcome="unfounded", text=EVIL, basis=f"《法》{EVIL}")
    wish = {
        "column": ["ss.insurance.contribution_base"], "purpose": "statistics", "scenario": EVIL, "scope": EVIL,
        "basis": EVIL, "operation": ["aggregate"], "everyone": "yes", "ends": "2027-06-30",
    }  # fmt: skip
    mine = done("/console/my/applications/new", "visitor", **wish)
    number = mine.rpartition("/")[2]
    done(f"{mine}/sign", "steward_amr")
    application = f"/console/department/applications/{number}"
    done(f"{application}/return", "bureau", missing=f"{EVIL}\n{EVIL}")
    draft = world.get("/console/policy/draft", "officer_a").text
    files = {
        "name": re.findall(r'name="name" value="([^"]+)"', draft),
        "text": [unescape(each) for each in re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', draft, re.DOTALL)],
    }  # fmt: skip
    at = files["name"].index("manifest.yaml")
    label = EVIL.replace('"', "")
    files["text"][at] = files["text"][at].replace('"2026.1"', f'"{label}"') + f"# {EVIL}\n"
    proposal = done("/console/policy/draft/propose", "officer_a", reason=EVIL, **files)
    done(f"{proposal}/publish", "officer_a")
    done(
        "/console/admin/tokens", "sysadmin", 200, login="x", department="drc", role="analyst", days="3",
        note=EVIL, reason=EVIL,
    )  # fmt: skip
    world.answered('SELECT COUNT(*) AS "<img src=x onerror=alert(1)>" FROM ga.population')
    return ticket, application


def addresses(world, ticket, application):
    policy, log = "/console/policy", "/console/audit/log"
    yield from (("officer_a", f"{policy}{each}") for each in (
        "", "/proposals/1", "/proposals/1?view=files", "/versions/1", "/draft?version=1", f"/classification?q={ASKED}",
        f"?state={ASKED}",
    ))  # fmt: skip
    yield from (("officer_a", each) for each in ("/console/freezes", ticket, application))
    yield from (("auditor", f"{log}/{each}") for each in range(world.platform.gateway.audit.size))
    yield from (("auditor", each) for each in (
        log, f"{log}?person={ASKED}", f"/console/audit/releases?subject={ASKED}", ticket, f"{policy}/proposals/1",
    ))  # fmt: skip
    yield from (("steward_ga", each) for each in (
        "/console/tickets", ticket, f"/console/department/usage?q={ASKED}", f"/console/department/quality?dataset={ASKED}",
        f"/console/department/usage?since={quote(EVIL[:30])}",
    ))  # fmt: skip
    yield from (("bureau", each) for each in (
        application, f"/console/department/usage?department={ASKED}", f"/console/department/connectors?department={ASKED}",
    ))  # fmt: skip
    yield from (("sysadmin", each) for each in ("/console/admin/tokens", "/console/freezes"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_text_becomes_a_part_of_a_page(world, stored, language):
    seen = 0
    for person, address in addresses(world, *stored):
        page = world.get(address, person, language)
        assert page.status_code in (200, 400), address
        for part in ("<img src=x", "<script>alert", ">49=", "{{7*7}}</script>"):
            assert part not in page.text, address
        assert page.headers["cache-control"] == "no-store", address
        assert "script-src 'self'" in page.headers["content-security-policy"]
        seen += "&lt;img src=x" in page.text
    assert seen > 20, "the texts are there, and harmless"


def test_what_was_asked_is_the_auditors_to_see(world, stored):
    assert stored
    column = "AS &#34;&lt;img"
    entries = [
        world.get(f"/console/audit/log/{each}", "auditor").text
        for each in range(world.platform.gateway.audit.size)
    ]
    for person in ("officer_a", "bureau", "sysadmin", "steward_ga"):
        for address in (
            "/console", "/console/freezes", "/console/freezes/alerts", "/console/audit/releases",
            "/console/audit/releases/export/json", "/console/audit/releases/export/csv", "/console/department/usage",
            "/console/department/usage/export/json", "/console/admin/sessions", "/console/audit/log/0",
        ):  # fmt: skip
            page = world.get(address, person).text
            assert column not in page
            assert 'AS "<img' not in page
            assert "SELECT COUNT" not in page
    assert entries
