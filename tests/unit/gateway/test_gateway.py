"""Eight stages in order: every way out leaves one ending entry, and no answer leaves without a receipt."""

import asyncio
from concurrent.futures import Future
from dataclasses import replace

import made_platform
import made_world as made
import pytest

from middleplatform.errors import (
    AuditError,
    ConfigError,
    DisclosureError,
    LimitError,
    MiddleplatformError,
    ProtocolError,
    SourceError,
)

COUNT = "SELECT sex, COUNT(*) AS n FROM ga.person GROUP BY sex"


class Link:
    """A department that does what a test says."""

    department = "ga"

    def __init__(self, act):
        self.act = act

    async def answer(self, raw, signature):
        return await self.act(raw, signature)


class FullLog:
    """A log that takes ``room`` entries and then no more."""

    def __init__(self, log, room):
        self.log, self.room, self.taken = log, room, []

    def submit(self, record):
        if len(self.taken) >= self.room:
            failed = Future()
            failed.set_exception(AuditError("A001"))
            return failed
        self.taken.append(record.event)
        return self.log.submit(record)

    def close(self):
        self.log.close()


def failing(error):
    async def act(*_):
        raise error

    return Link(act)


def failure(platform, sql=COUNT, **asked):
    with pytest.raises(MiddleplatformError) as caught:
        platform.ask(sql, **asked)
    return caught.value


def events(platform):
    return [event for event, _ in platform.entries()]


def test_an_answer_has_its_receipt_marks_and_stages(platform):
    answer = platform.ask(COUNT)
    assert answer.release.table["n"].to_pylist() == [107, 133]
    assert events(platform) == ["received", "released"]
    assert answer.receipt.index == 1
    assert (answer.protocol, answer.quality, answer.decision.permit) == ("local", 0.9, True)
    assert list(answer.timings_ms) == ["authorize", "plan", "dispatch", "combine", "audit"]


def test_the_entry_of_an_answer_says_what_was_run_and_no_value(platform):
    answer = platform.ask(COUNT)
    _, body = platform.entries()[1]
    assert body["query_id"] == answer.query_id
    assert body["datasets"] == ["ga.person"]
    assert body["columns"] == ["ga.person.sex"]
    assert body["result_digest"] == answer.release.digest
    assert list(body["fragments"][0]["receipts"]) == ["ga"]
    assert "107" not in repr({key: value for key, value in body.items() if "digest" not in key and key not in ("query_id", "fragments")})  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "code", "event"),
    [
        ("SELECT (", "Q001", "refused"), ("SELECT nothing FROM ga.person", "Q020", "refused"), ("SELECT name FROM ga.person", "P001", "refused"), ("SELECT COUNT(*) FROM ga.person p JOIN tax.payer t ON p.id = t.id", "Q031", "refused"),
        ("SELECT planned, COUNT(*) FROM ga.person GROUP BY planned", "S011", "failed"), ("SELECT sex, COUNT(*) FROM ga.person GROUP BY sex HAVING EXTRACT(year FROM sex) > 1", "Q031", "refused"),
    ],
)  # fmt: skip
def test_every_refusal_leaves_exactly_one_ending_entry(platform, sql, code, event):
    error = failure(platform, sql)
    assert (error.code, events(platform)) == (code, ["received", event])
    assert error.audit_index == 1
    assert platform.entries()[1][1]["code"] == code


@pytest.mark.parametrize(("changes", "code"), [({"purpose": "nothing"}, "P002"), ({"recipient": "tax"}, "P003"), ({"subject": replace(made.ANALYST, roles=frozenset())}, "P002")])  # fmt: skip
def test_a_refusal_by_purpose_or_recipient_has_its_code_and_reasons(platform, changes, code):
    error = failure(platform, **changes)
    assert error.code == code
    assert error.reasons[0].rule == error.rule
    assert events(platform) == ["received", "refused"]


def test_a_missing_grant_has_its_code(tmp_path):
    with made_platform.Platform(tmp_path, made.make_bundle(grants=())) as platform:
        assert failure(platform, "SELECT district, COUNT(*) FROM tax.payer GROUP BY district").code == "P003"  # fmt: skip


def test_strict_refuses_where_a_rewrite_would_help(platform):
    sql = "SELECT birth_year, COUNT(*) FROM ga.person GROUP BY birth_year"
    assert failure(platform, sql, strict=True).rule == "R4"
    assert platform.ask(sql).release.notes


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (SourceError("S001", department="ga"), "failed"), (ProtocolError("X001"), "failed"), (DisclosureError("D010", rule="R14"), "refused"), (LimitError("L002", limit=1), "failed"),
        (ConfigError("C011", what="x"), "failed"),
    ],
)  # fmt: skip
def test_what_a_department_raises_ends_the_query_with_one_entry(platform, error, event):
    platform.use_link(failing(error))
    assert failure(platform).code == error.code
    assert events(platform) == ["received", event]


@pytest.mark.parametrize("error", [ValueError("id 990101199001011234"), KeyError("110101"), AssertionError("110101"), ZeroDivisionError()])  # fmt: skip
def test_an_unexpected_exception_tells_nothing_but_its_record(platform, error):
    platform.use_link(failing(error))
    found = failure(platform)
    assert found.code == "C099"
    assert "110101" not in found.message("en") + found.message("zh") + found.detail + repr(found)
    assert found.__cause__ is None
    assert found.__suppress_context__
    assert events(platform) == ["received", "failed"]
    assert "110101" not in repr(platform.entries()[1:])


def test_no_entry_no_question(platform):
    platform.gateway.audit = FullLog(platform.audit, 0)
    asked = []

    async def act(*_):
        asked.append(1)

    platform.use_link(Link(act))
    assert failure(platform).code == "A001"
    assert asked == []


def test_no_receipt_no_answer(platform):
    platform.gateway.audit = FullLog(platform.audit, 1)
    assert failure(platform).code == "A001"
    assert platform.gateway.audit.taken == ["received"]


def test_a_log_that_fails_at_the_end_of_a_refusal_says_so(platform):
    platform.gateway.audit = FullLog(platform.audit, 1)
    assert failure(platform, "SELECT name FROM ga.person").code == "A001"


def test_more_questions_than_allowed_are_turned_away_without_an_entry(tmp_path):
    with made_platform.Platform(tmp_path, queries_max=1, rows=made_platform.complete_rows()) as platform:  # fmt: skip

        async def both():
            gate, reached = asyncio.Event(), asyncio.Event()
            whole = platform.links["ga"]

            async def slow(raw, signature):
                reached.set()
                await gate.wait()
                return await whole.answer(raw, signature)

            platform.use_link(Link(slow))
            first = asyncio.create_task(platform.gateway.submit(platform.request(COUNT)))
            await reached.wait()
            with pytest.raises(LimitError) as caught:
                await platform.gateway.submit(platform.request(COUNT))
            gate.set()
            await first
            return caught.value

        assert made.wait(both()).code == "L001"
        assert events(platform) == ["received", "released"]
        assert platform.ask(COUNT), "the place is free again"


def test_a_place_is_free_again_after_every_failure(tmp_path):
    with made_platform.Platform(tmp_path, queries_max=1) as platform:
        for sql in ("SELECT (", "SELECT name FROM ga.person", COUNT):
            try:
                platform.ask(sql)
            except MiddleplatformError as error:
                assert error.code != "L001"  # noqa: PT017 - the answer may come too
        assert platform.gateway._running == 0


def test_too_many_near_identical_questions_of_a_day_are_refused(tmp_path):
    bundle = made.make_bundle(limits=replace(made.LIMITS, near_duplicates_per_day=2))
    with made_platform.Platform(tmp_path, bundle, made_platform.complete_rows()) as platform:

        def asked(code):
            return f"SELECT COUNT(*) FROM ga.person WHERE region = '99010{code}'"

        platform.ask(asked(1))
        platform.ask(asked(1))
        try:
            platform.ask(asked(2))
        except DisclosureError as error:
            assert error.code == "D010"  # noqa: PT017 - too close is a refusal of its own
        error = failure(platform, asked(3))
        assert (error.code, error.rule) == ("D011", "R14")
        assert events(platform)[-1] == "refused"


def test_a_fragment_that_is_not_within_the_grant_never_leaves(platform):
    asked = []

    async def act(*_):
        asked.append(1)

    platform.use_link(Link(act))
    whole = platform.gateway._judge
    platform.gateway._judge = lambda request: (whole(request)[0], replace(whole(request)[1], obligations=()))  # fmt: skip
    error = failure(platform, "SELECT birth_year, COUNT(*) FROM ga.person GROUP BY birth_year")
    assert (error.code, asked) == ("C099", [])


def test_too_many_cells_are_refused(tmp_path):
    bundle = made.make_bundle(limits=replace(made.LIMITS, cells_max=2))
    with made_platform.Platform(tmp_path, bundle, made_platform.complete_rows()) as platform:
        for sql in ("SELECT region, COUNT(*) FROM ga.person GROUP BY region", "SELECT section, COUNT(*) FROM city.firm GROUP BY section"):  # fmt: skip
            assert failure(platform, sql).code == "L002"


def test_a_bare_list_of_labels_shows_those_of_released_cells_only(tmp_path):
    rows = made_platform.complete_rows()
    rows["person"] = [(*row[:3], "990103" if place < 9 else "990101", *row[4:]) for place, row in enumerate(rows["person"])]  # fmt: skip
    with made_platform.Platform(tmp_path, rows=rows) as platform:
        answer = platform.ask("SELECT DISTINCT region FROM ga.person")
        assert answer.release.table["region"].to_pylist() == ["990101"]


def test_progress_is_told(platform):
    heard = []
    made.wait(platform.gateway.submit(platform.request(COUNT), lambda *step: heard.append(step)))
    assert heard[-1] == ("dispatch", 1, 1)


# --- explain ----------------------------------------------------------------------------------------------------------


def test_explain_runs_nothing_and_asks_nobody(platform):
    platform.use_link(failing(AssertionError("asked")))
    found = platform.gateway.explain(platform.request(COUNT))
    assert (found.verdict, found.code, found.protocol) == ("permit", "", "local")
    assert [step.stage for step in found.steps] == ["parse", "qualify", "authorize", "dispatch", "dispatch", "combine", "disclose"]  # fmt: skip
    assert events(platform) == []
    secure = platform.gateway.explain(platform.request("SELECT COUNT(*) FROM city.firm"))
    assert secure.protocol == "secure_sum"
    assert "c1, c2, c3" in [step.party for step in secure.steps]


@pytest.mark.parametrize(("sql", "code"), [("SELECT (", "Q001"), ("SELECT name FROM ga.person", "P001"), ("SELECT COUNT(*) FROM ga.person p JOIN tax.payer t ON p.id = t.id", "Q031")])  # fmt: skip
def test_explain_says_why_not(platform, sql, code):
    found = platform.gateway.explain(platform.request(sql))
    assert (found.verdict, found.code) == ("refuse", code)
    assert found.reasons[0].what[0]


def test_a_question_that_is_given_up_leaves_one_ending_entry(platform):
    async def given_up():
        reached = asyncio.Event()

        async def never(*_):
            reached.set()
            await asyncio.Event().wait()

        platform.use_link(Link(never))
        task = asyncio.create_task(platform.gateway.submit(platform.request(COUNT)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    made.wait(given_up())
    assert events(platform)[0] == "received"
    platform.ask("SELECT COUNT(*) FROM city.firm")
    assert events(platform) == ["received", "failed", "received", "released"]
