"""The pages of policy simulation over a running platform: what is asked for, what is shown, and what is refused."""

import re
import threading
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape

import pytest
from analyst_world import Hand, Sessions, opened_world, text_of

from middleplatform.errors import ConfigError
from middleplatform.governance.classifying import classified
from middleplatform.governance.replay import Asked, Ended, Why
from middleplatform.governance.simulation import Kind, Outcome, Simulation, Terms, Unjudged
from middleplatform.model.record import AuditRecord
from middleplatform.model.request import Role
from middleplatform.policy.suite import Verdict
from middleplatform.web.simulations import Trial

AT = "/console/policy/simulate"
JOBS = "/console/policy/simulations"
DRAFT = "/console/policy/draft"
OFFICER = "officer_a"
OLD = "SELECT region_code, COUNT(*) AS n FROM ga.population WHERE 2024 - birth_year >= 60 GROUP BY region_code"
MOMENT = datetime(2026, 5, 20, tzinfo=UTC)
ALLOWED, DENIED = Verdict("permit"), Verdict("refuse", "R1", "P001")


@pytest.fixture(scope="module")
def world(tmp_path_factory, demo_data):
    with opened_world(tmp_path_factory.mktemp("simulated"), demo_data) as made:
        for number in range(3):
            ask_one(made, number)
        ask_one(made, 3, subject="analyst_stats", sql={"sealed": "for the auditor"})
        yield made
        made.loop.run_until_complete(made.app.state.simulations.close())


def ask_one(world, number, **more):
    """Enter a question into the log as the gateway does."""
    body = {
        "query_id": f"{number:032x}", "at": MOMENT.isoformat(), "subject": "analyst_drc", "department": "drc",
        "roles": ["analyst"], "regions": ["*"], "purpose": "statistics", "project": "drc", "recipient": "",
        "strict": False, "sql": OLD,
    }  # fmt: skip
    world.platform.gateway.audit.append(AuditRecord("received", body | more))


def drafted(world):
    page = world.get(DRAFT, OFFICER)
    names = re.findall(r'name="name" value="([^"]+)"', page.text)
    texts = re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', page.text, re.DOTALL)
    return dict(zip(names, map(unescape, texts), strict=True))


@pytest.fixture(scope="module")
def closed(world):
    """The files in force, but years of birth may not be used."""
    return classified(drafted(world), "ga.population", "birth_year", {"use": "denied"})


def sent(files, **more):
    return {"name": list(files), "text": list(files.values()), **more}


def ended(world, made):
    """Return the address and the page of a simulation that was begun, once it has ended."""
    assert made.status_code == 303, text_of(made)
    path = made.headers["location"]
    for _ in range(100):
        page = world.get(path, OFFICER)
        if "hx-trigger" not in page.text:
            return path, page
    raise AssertionError("the simulation does not end")


def started(world, work, person=OFFICER, trial=None):
    """Begin a simulation of the test's own making; return its address."""

    async def start():
        subject = Sessions().subject(person)
        return world.app.state.simulations.start(subject, work, trial or Trial(version=1)).id

    return f"{JOBS}/{world.loop.run_until_complete(start())}"


@contextmanager
def held(world, count=1):
    """Begin simulations of 40 statements that stand still at the seventh."""
    gate = threading.Event()

    def work(hear):
        hear("simulate", 7, 40)
        gate.wait(30)
        hear("simulate", 40, 40)
        return made_of(1)

    try:
        yield [started(world, work) for _ in range(count)]
    finally:
        gate.set()
        for each in world.app.state.simulations.of(Sessions().subject(OFFICER)):
            world.loop.run_until_complete(each.finished(30))


def question(number, subject="lin"):
    return Asked(number, f"{number:032x}", subject, MOMENT, None, ended=Ended("released"))


def made_of(changes, unjudged=0):
    """Return a result: changes of every kind in turn, of three persons and two datasets."""
    ways = (
        (Kind.ALLOW_TO_DENY, ALLOWED, DENIED, ()),
        (Kind.DENY_TO_ALLOW, DENIED, ALLOWED, ()),
        (Kind.RULE, DENIED, Verdict("refuse", "R3", "P001"), ()),
        (Kind.TERMS, ALLOWED, ALLOWED, (Terms("min_units", "10", "20"), Terms("statement", "SELECT secret", "SELECT"))),
    )  # fmt: skip
    outcomes = [
        Outcome(question(number, f"person_{number % 3}"), kind, before, after,
                ((), ("ga.population",), ("ga.population", "tax.income"))[number % 3], terms)
        for number in range(changes) for kind, before, after, terms in [ways[number % 4]]
    ]  # fmt: skip
    same = Outcome(question(900), Kind.SAME, ALLOWED, ALLOWED, ("ga.population",))
    rest = [Unjudged(question(1000 + n), (Why.SEALED, Why.HISTORY)[n % 2]) for n in range(unjudged)]
    return Simulation("ab" * 32, "cd" * 32, (*outcomes, same), tuple(rest))


# --- asked for ----------------------------------------------------------------------------------------------------


def test_draft_is_simulated_without_being_proposed_and_gone_on_with(world, closed):
    before = world.platform.lifecycle.proposals()
    data = sent(closed, window="2026-05-01..2026-05-31", reason="years are too fine")
    path, page = ended(world, world.post(f"{DRAFT}/simulate", OFFICER, **data))
    said = text_of(page)
    assert "Questions: 4, judged: 3, changed: 3." in said
    assert "No department was contacted" in said
    assert world.platform.lifecycle.proposals() == before
    assert "analyst_drc" in text_of(world.get(f"{path}?view=analyst", OFFICER))
    assert "birth_year" not in page.text, "what was asked stands in the log alone"
    sealed = text_of(world.get(f"{path}?view=unjudged&why=sealed", OFFICER))
    assert "analyst_stats" in sealed
    back = world.post(f"{path}/draft", OFFICER)
    assert back.status_code == 200
    assert "years are too fine" in back.text
    assert 'value="2026-05-01..2026-05-31"' in back.text
    again = dict(zip(
        re.findall(r'name="name" value="([^"]+)"', back.text),
        map(unescape, re.findall(r'name="text"[^>]*>\n(.*?)</textarea>', back.text, re.DOTALL)), strict=True,
    ))  # fmt: skip
    assert again == dict(closed)
    assert world.post(f"{path}/draft", OFFICER, csrf="").status_code == 403


@pytest.fixture(scope="module")
def proposed(world):
    """Number of a proposal."""
    data = sent(drafted(world), reason="r")
    data["text"][data["name"].index("manifest.yaml")] += "# weighed\n"
    made = world.post(f"{DRAFT}/propose", OFFICER, **data)
    assert made.status_code == 303, text_of(made)
    return int(made.headers["location"].rpartition("/")[2])


def test_proposal_and_published_version_lead_to_their_simulation(world, proposed):
    place = f"/console/policy/proposals/{proposed}"
    link = f"{AT}?proposal={proposed}"
    assert f'href="{link}"' in world.get(place, OFFICER).text
    assert link not in world.get(place, "auditor").text
    assert re.search(rf'value="proposal-{proposed}" selected', world.get(link, OFFICER).text)
    _, page = ended(
        world, world.post(AT, OFFICER, candidate=f"proposal-{proposed}", window="30d", now="2026-05-21")
    )  # fmt: skip
    assert "Questions: 4, judged: 3, changed: 0." in text_of(page)
    assert "No verdict changes" in text_of(page)
    assert "now=2026-05-21" in page.text
    done = world.post(f"{place}/publish", OFFICER)
    assert done.status_code == 303
    version = done.headers["location"].rpartition("/")[2]
    link = f"{AT}?version={version}"
    assert f'href="{link}"' in world.get(done.headers["location"], OFFICER).text
    assert link not in world.get(done.headers["location"], "steward_ga").text
    _, page = ended(world, world.post(AT, OFFICER, candidate=f"version-{version}", window="2d"))
    assert "no verdict can change" in text_of(page)
    assert "Nobody asked in this time" in text_of(page)


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"candidate": ""}, 400, "choose one"),
        ({"candidate": "proposal-x"}, 400, "choose one"),
        ({"candidate": "file-1"}, 400, "choose one"),
        ({"candidate": "version-1", "window": "soon"}, 400, "soon is no window"),
        ({"candidate": "version-1", "window": "99999d..", "now": "never"}, 400, "never is no day"),
        ({"candidate": "version-987654321"}, 404, "Q041"),
        ({"candidate": "proposal-987654321"}, 404, "Q041"),
        ({"candidate": "version-1", "csrf": ""}, 403, "P004"),
    ],
)
@pytest.mark.usefixtures("proposed")
def test_form_that_says_nothing_to_simulate_is_refused(world, fields, status, said):
    known = len(world.app.state.simulations.of(Sessions().subject(OFFICER)))
    made = world.post(AT, OFFICER, **fields)
    assert (made.status_code, said in text_of(made)) == (status, True)
    assert len(world.app.state.simulations.of(Sessions().subject(OFFICER))) == known


def test_draft_that_does_not_load_comes_back_with_its_places(world, closed):
    broken = {**closed, "columns.yaml": closed["columns.yaml"].replace("datasets:", "datasetz:", 1)}
    made = world.post(f"{DRAFT}/simulate", OFFICER, **sent(broken, reason="kept"))
    assert made.status_code == 422
    assert re.search(r"columns\.yaml:\d+:\d+", made.text)
    assert "kept" in made.text
    wrong = world.post(f"{DRAFT}/simulate", OFFICER, **sent(closed, window="soon", reason="kept"))
    assert (wrong.status_code, "soon is no window" in text_of(wrong)) == (400, True)
    assert "kept" in wrong.text
    added = world.post(f"{DRAFT}/files", OFFICER, **sent(closed, window="9d", now="2026-05-02"))
    assert 'value="9d"' in added.text
    assert 'value="2026-05-02"' in added.text
    assert world.post(f"{DRAFT}/simulate", OFFICER, csrf="", **sent(closed)).status_code == 403


def test_address_that_names_nothing_is_no_form(world):
    for query in ("proposal=x", "version=0", "proposal=987654321", "version=" + "9" * 40):
        assert world.get(f"{AT}?{query}", OFFICER).status_code == 404, query


def test_form_is_filled_in_by_its_address(world, proposed):
    page = world.get(f"{AT}?proposal={proposed}&window=9d&now=2026-05-01", OFFICER, "zh")
    assert 'value="9d"' in page.text
    assert 'value="2026-05-01"' in page.text
    assert "模拟策略" in text_of(page)


# --- at work ------------------------------------------------------------------------------------------------------


def test_simulation_at_work_tells_how_far_it_is_and_is_canceled(world):
    with held(world) as [path]:
        page = world.get(path, OFFICER)
        assert f'hx-get="{path}/progress"' in page.text
        assert f'<noscript><p><a href="{path}">' in page.text, (
            "without scripts it is looked at again"
        )
        assert "7 of 40 statements" in text_of(page)
        part = world.get(f"{path}/progress", OFFICER, "zh", **{"HX-Request": "true"})
        assert "<h1>" not in part.text
        assert "已判定 7 条语句，共 40 条" in text_of(part)
        assert "at work" in text_of(world.get(AT, OFFICER))
        assert world.post(f"{path}/cancel", OFFICER, csrf="").status_code == 403
        assert world.post(f"{path}/cancel", "officer_b").status_code == 404
        assert world.post(f"{path}/cancel", OFFICER).status_code == 303
    for language, said in (("en", "was canceled"), ("zh", "已取消")):
        assert said in text_of(world.get(path, OFFICER, language))
    done = world.get(f"{path}/progress", OFFICER, **{"HX-Request": "true"})
    assert (done.status_code, done.headers["hx-refresh"]) == (204, "true")
    assert world.post(f"{path}/draft", OFFICER).status_code == 404, "it was not of a draft"


def test_more_than_few_at_once_are_refused_and_the_form_is_kept(world, closed):
    with held(world, 4):
        made = world.post(AT, OFFICER, candidate="version-1", window="7d", now="")
        full = world.post(f"{DRAFT}/simulate", OFFICER, **sent(closed, window="7d"))
    for page in (made, full):
        assert page.status_code == 429
        assert "L001" in page.text
        assert 'value="7d"' in page.text


def test_drafts_that_are_opened_again_are_read_in_the_room_of_drafts(world, closed, monkeypatch):
    path, _ = ended(world, world.post(f"{DRAFT}/simulate", OFFICER, **sent(closed, window="7d")))
    monkeypatch.setattr(world.app.state.drafts, "_own_max", 0)
    for page in (world.get(DRAFT, OFFICER), world.post(f"{path}/draft", OFFICER)):
        assert (page.status_code, "L001" in page.text) == (429, True)


@pytest.mark.parametrize("window", ["7d", "no window"])
def test_drafts_to_be_simulated_are_read_in_the_room_of_drafts(world, closed, monkeypatch, window):
    monkeypatch.setattr(world.app.state.drafts, "_own_max", 0)
    draft = world.post(f"{DRAFT}/simulate", OFFICER, **sent(closed, window=window))
    named = world.post(AT, OFFICER, candidate="version-1", window=window, now="")
    for page in (draft, named):
        assert (page.status_code, "L001" in page.text) == (429, True)


def test_failure_is_told_by_its_code_alone(world):
    def broken(_):
        raise KeyError("990101199001011234")

    def refused(_):
        raise ConfigError("C001", what=("the catalogue is newer", "目录较新"))

    for work, said in ((broken, "C099"), (refused, "the catalogue is newer")):
        page = world.get(started(world, work), OFFICER)
        assert (page.status_code, said in text_of(page)) == (200, True)
        assert "19900101" not in page.text
        assert "Simulate again" in text_of(page)


def test_another_officers_simulation_is_as_none(world):
    path = started(world, lambda _: made_of(1))
    for address in (path, f"{path}/progress"):
        assert world.get(address, "officer_b").status_code == 404
        none = world.get(address.replace(path, f"{JOBS}/{'0' * 32}"), "officer_b")
        assert none.status_code == 404
    assert "no longer kept, or it is not yours" in text_of(world.get(path, "officer_b"))
    assert world.get(path, OFFICER).status_code == 200
    assert path not in world.get(AT, "officer_b").text
    assert path in world.get(AT, OFFICER).text


# --- what came of it ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def result(world):
    """Address of a simulation with 60 changes and 30 questions that could not be judged."""
    return started(world, lambda _: made_of(60, 30), trial=Trial(version=1))


def rows(page):
    return re.findall(r'<th scope="row"[^>]*>(.*?)</th>', page.text, re.DOTALL)


VIEWS = ("", "?view=rule", "?view=analyst", "?view=dataset", "?view=unjudged", "?view=nothing")


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_in_both_languages(world, result, view):
    found = [world.get(result + view, OFFICER, language) for language in ("en", "zh")]
    assert [page.status_code for page in found] == [200, 200]
    assert re.search("[\u4e00-\u9fff]", text_of(found[1]).replace("中文", ""))
    for page in found:
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", page.text)


def test_counts_are_told_by_kind_and_by_what_they_are_counted_under(world, result):
    figures = re.findall(
        r'<p class="value">([^<]*)</p><p class="name">([^<]*)</p>', world.get(result, OFFICER).text
    )
    assert {name: int(value) for value, name in figures} == {
        "allow → deny": 15, "deny → allow": 15, "denied by another rule": 15, "allowed on other terms": 15,
        "no change": 1, "not judged": 30,
    }  # fmt: skip
    names = {
        re.sub("<[^>]+>", "", each) for each in rows(world.get(f"{result}?view=rule", OFFICER))
    }
    assert names == {"R1", "R1 → R3", "min_units", "statement"}
    persons = rows(world.get(f"{result}?view=analyst&q=person_1", OFFICER))
    assert len(persons) == 1
    assert "not readable" in text_of(world.get(f"{result}?view=dataset", OFFICER))


def test_changes_are_paged_filtered_and_linked_to(world, result):
    assert [len(rows(world.get(f"{result}?page={n}", OFFICER))) for n in (1, 2, 3)] == [25, 25, 10]
    for query, count in (
        ("kind=allow_to_deny", 15), ("rule=min_units", 15), ("analyst=person_0", 20), ("dataset=-", 20),
        ("dataset=tax.income", 20), ("kind=terms&analyst=person_1", 5), ("q=person_2 min_units", 5),
        ("rule=R1 → R3", 15), ("kind=none", 0),
    ):  # fmt: skip
        page = world.get(f"{result}?{query}", OFFICER)
        shown = re.search(r"1 to \d+ of (\d+)", text_of(page))
        assert (int(shown[1]) if shown else 0) == count, query
    tallied = world.get(f"{result}?view=rule", OFFICER)
    assert f"{result}?rule=R1+%E2%86%92+R3" in tallied.text


def test_a_filter_stays_when_words_are_searched_for(world, result):
    page = world.get(f"{result}?rule=min_units&kind=terms&q=person_1", OFFICER)
    form = re.search(r'<form class="filter".*?</form>', page.text, re.DOTALL)[0]
    assert '<input type="hidden" name="rule" value="min_units">' in form
    assert '<option value="terms" selected>' in form
    for view in ("rule", "unjudged"):
        form = world.get(f"{result}?view={view}", OFFICER).text
        assert f'<input type="hidden" name="view" value="{view}">' in form


def test_policys_words_are_told_of_a_term_and_the_questions_are_not(world, result):
    page = world.get(f"{result}?kind=terms", OFFICER)
    assert "min_units 10 → 20" in text_of(page)
    assert "secret" not in page.text


class BothRoles(Hand):
    """The services for officers who may read the log, too."""

    @property
    def sessions(self):
        class Both(Sessions):
            def subject(self, secret):
                found = super().subject(secret)
                return found and replace(found, roles=found.roles | {Role.AUDITOR})

        return Both()


def test_entry_of_the_log_is_a_link_for_who_may_open_it(world, result):
    link = 'href="/console/audit/log/0"'
    assert link not in world.get(result, OFFICER).text
    usual = world.app.state.services
    world.app.state.services = BothRoles(world.platform)
    try:
        assert link in world.get(result, OFFICER).text
        assert "/console/audit/log/1000" in world.get(f"{result}?view=unjudged", OFFICER).text
    finally:
        world.app.state.services = usual


def test_nothing_of_a_log_is_markup(world):
    odd = Outcome(question(1, "<b>lin</b>"), Kind.ALLOW_TO_DENY, ALLOWED, DENIED, ("<i>x</i>",))
    path = started(world, lambda _: Simulation("a", "b", (odd,)))
    for view in ("", "?view=analyst", "?view=dataset"):
        page = world.get(path + view, OFFICER)
        assert "<b>lin" not in page.text
        assert "<i>x" not in page.text
    assert "&lt;b&gt;lin" in world.get(path, OFFICER).text


def test_a_policy_in_force_that_no_longer_loads_is_told(world):
    path = started(
        world, lambda _: Simulation("ab", "", (Outcome(question(1), Kind.SAME, DENIED, DENIED),))
    )
    assert "no longer loads" in text_of(world.get(path, OFFICER))
