"""No fragment is served twice, and one query never mixes two policies, purposes or people."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from steady import FixedClock

from middleplatform.crypto.used_rounds import SqliteUsedRounds
from middleplatform.errors import ConfigError, ProtocolError
from middleplatform.model.plan import Fragment
from middleplatform.model.request import Role, Subject
from middleplatform.node.served import WINDOW_S, ServedFragments

ANALYST = Subject("lin", "drc", frozenset({Role.ANALYST}))


@pytest.fixture
def clock():
    return FixedClock()


@pytest.fixture(params=["memory", "file"])
def served(request, tmp_path, clock):
    path = tmp_path / "served.db" if request.param == "file" else None
    with ServedFragments(path, clock) as opened:
        yield opened


def fragment(clock, **changes):
    made = Fragment(
        query_id="ab" * 16,
        attempt=1,
        number=0,
        department="ga",
        protocol="local",
        cohort=("ga",),
        sql="SELECT 1",
        subject=ANALYST,
        purpose="statistics",
        project="drc",
        policy_digest="66" * 32,
        issued_at=clock.now().isoformat(),
    )
    return replace(made, **changes)


def refusal(served, made):
    with pytest.raises(ProtocolError) as caught:
        served.claim(made)
    return caught.value.code


def test_a_fragment_is_served_once_whatever_its_text(served, clock):
    served.claim(fragment(clock))
    assert refusal(served, fragment(clock)) == "X002"
    assert refusal(served, fragment(clock, sql="SELECT 2")) == "X002"
    served.claim(fragment(clock, number=1))
    served.claim(fragment(clock, attempt=2))
    served.claim(fragment(clock, query_id="cd" * 16))


@pytest.mark.parametrize(
    "changes",
    [
        {"policy_digest": "77" * 32},
        {"purpose": "audit"},
        {"project": "other"},
        {"subject": replace(ANALYST, id="wei")},
        {"subject": replace(ANALYST, department="tax")},
        {"subject": replace(ANALYST, roles=frozenset({Role.AUDITOR}))},
        {"subject": replace(ANALYST, regions=("990101",))},
        {"template": "base"},
    ],
)
def test_a_query_keeps_its_policy_purpose_project_subject_and_template(served, clock, changes):
    served.claim(fragment(clock))
    assert refusal(served, fragment(clock, number=1, **changes)) == "X001"
    served.claim(fragment(clock, number=1))


@pytest.mark.parametrize(
    "changes",
    [
        {"query_id": ""},
        {"query_id": "x" * 129},
        {"query_id": ["a"]},
        {"number": "0"},
        {"number": 2**70},
        {"number": -1},
        {"attempt": True},
        {"attempt": 1.0},
        {"issued_at": "yesterday"},
        {"issued_at": "2026-06-01T08:00:00"},
        {"issued_at": None},
    ],
)
def test_what_cannot_be_remembered_is_refused_and_harms_no_other(served, clock, changes):
    assert refusal(served, fragment(clock, **changes)) == "X001"
    served.claim(fragment(clock))


def test_one_of_many_threads_wins_each_fragment(served, clock):
    def claims(place):
        try:
            served.claim(fragment(clock, number=place % 8))
        except ProtocolError:
            return 0
        return 1

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(claims, range(128))) == 8


def test_a_claim_outlives_the_process_that_made_it(tmp_path, clock):
    with ServedFragments(tmp_path / "served.db", clock) as first:
        first.claim(fragment(clock))
    with ServedFragments(tmp_path / "served.db", clock) as second:
        assert refusal(second, fragment(clock)) == "X002"
        assert refusal(second, fragment(clock, number=1, purpose="audit")) == "X001"


def test_what_is_forgotten_is_refused_by_its_age_also_when_the_clock_is_set_back(tmp_path, clock):
    old = fragment(clock)
    with ServedFragments(tmp_path / "served.db", clock) as served:
        served.claim(old)
        clock.moment += timedelta(seconds=2 * WINDOW_S + 1)
        served.claim(fragment(clock, query_id="cd" * 16))
        assert rows(served) == 1
        assert refusal(served, old) == "X002"
    clock.moment -= timedelta(days=1)
    with ServedFragments(tmp_path / "served.db", clock) as again:
        assert refusal(again, old) == "X002"


def test_a_fragment_within_the_window_is_never_forgotten(tmp_path, clock):
    early = fragment(clock)
    with ServedFragments(tmp_path / "served.db", clock) as served:
        served.claim(early)
        for step in range(1, 2 * WINDOW_S, 50):
            clock.moment = datetime.fromisoformat(early.issued_at) + timedelta(seconds=step)
            served.claim(fragment(clock, query_id=f"{step:032x}"))
            assert refusal(served, early) == "X002"


def test_a_clock_that_runs_ahead_alone_forgets_nothing_and_shuts_nobody_out(served, clock):
    kept = fragment(clock)
    served.claim(kept)
    clock.moment += timedelta(hours=5)
    served.claim(replace(kept, number=1))
    clock.moment -= timedelta(hours=5)
    assert refusal(served, kept) == "X002"
    served.claim(fragment(clock, number=2))


def test_memory_stays_bounded_while_questions_keep_coming(tmp_path, clock):
    with ServedFragments(tmp_path / "served.db", clock) as served:
        for number in range(200):
            clock.moment += timedelta(seconds=60)
            served.claim(fragment(clock, query_id=f"{number:032x}"))
        assert rows(served) <= 3 * WINDOW_S // 60 + 1


def rows(served):
    return served._database.execute("SELECT count(*) FROM served_fragments").fetchone()[0]


def test_the_file_is_the_owners_only_commits_to_disk_and_is_shared_with_the_rounds(tmp_path, clock):
    path = tmp_path / "node.db"
    rounds = SqliteUsedRounds(path)
    with ServedFragments(path, clock) as served:
        served.claim(fragment(clock))
        run = served._database.execute
        assert run("PRAGMA synchronous").fetchone() == (2,)
        assert run("PRAGMA journal_mode").fetchone() == ("wal",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    rounds.close()


def test_a_record_that_cannot_be_written_fails_closed_and_tells_every_waiter(tmp_path, clock):
    served = ServedFragments(tmp_path / "served.db", clock)
    served.close()
    with ThreadPoolExecutor(4) as pool:
        errors = list(pool.map(lambda n: error(served, fragment(clock, number=n)), range(8)))
    assert errors == ["C011"] * 8
    for path in (tmp_path / "none" / "served.db", tmp_path):
        with pytest.raises(ConfigError):
            ServedFragments(path, clock)


def error(served, made):
    try:
        served.claim(made)
    except ConfigError as caught:
        return caught.code
    return ""
