import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from middleplatform.crypto.used_rounds import MemoryUsedRounds, SqliteUsedRounds
from middleplatform.errors import ConfigError, ProtocolError


@pytest.fixture(params=["memory", "sqlite"])
def used(request, tmp_path):
    if request.param == "memory":
        yield MemoryUsedRounds()
        return
    record = SqliteUsedRounds(tmp_path / "used.sqlite")
    yield record
    record.close()


def refused_as_replay(used, context):
    with pytest.raises(ProtocolError) as caught:
        used.claim(context)
    return caught.value.code == "X002"


def test_a_round_is_taken_once(used, make_context):
    used.claim(make_context(["a", "b"]))
    assert refused_as_replay(used, make_context(["a", "b"]))
    used.claim(make_context(["a", "b"], attempt=2))
    used.claim(make_context(["a", "b"], query_id="q-2"))


def test_a_retry_with_fewer_departments_is_refused(used, make_context):
    used.claim(make_context(["a", "b", "c"]))
    assert refused_as_replay(used, make_context(["a", "b"], attempt=2))
    used.claim(make_context(["a", "b", "c"], attempt=2))


@pytest.mark.parametrize(
    "changes", [{"layout_hash": bytes(32)}, {"policy_digest": "0" * 64}, {"key_epoch": 9}]
)
def test_a_retry_about_something_else_is_refused(used, make_context, changes):
    used.claim(make_context(["a", "b"]))
    assert refused_as_replay(used, make_context(["a", "b"], attempt=2, **changes))


def test_one_of_many_threads_wins(used, make_context):
    def claims(_):
        try:
            used.claim(make_context(["a", "b"]))
        except ProtocolError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claims, range(64))) == 1


def test_a_claim_survives_the_process_and_binds_others(tmp_path, make_context):
    path = tmp_path / "used.sqlite"
    first, second = SqliteUsedRounds(path), SqliteUsedRounds(path)
    first.claim(make_context(["a", "b"]))
    assert refused_as_replay(second, make_context(["a", "b"]))
    first.close()
    second.close()
    third = SqliteUsedRounds(path)
    assert refused_as_replay(third, make_context(["a", "b"]))
    third.close()


def test_the_file_commits_to_the_disk_and_is_the_owners_only(tmp_path):
    path = tmp_path / "used.sqlite"
    record = SqliteUsedRounds(path)
    assert record._database.execute("PRAGMA synchronous").fetchone() == (2,)
    assert record._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    record.close()


def test_a_record_that_cannot_be_written_fails_closed(tmp_path, make_context):
    record = SqliteUsedRounds(tmp_path / "used.sqlite")
    record.close()
    with pytest.raises(ConfigError) as caught:
        record.claim(make_context(["a", "b"]))
    assert caught.value.code == "C011"
    with pytest.raises(ConfigError):
        SqliteUsedRounds(tmp_path / "missing" / "used.sqlite")
    (tmp_path / "text.sqlite").write_text("not a database, but long enough to be read as one" * 9)
    with pytest.raises(ConfigError):
        SqliteUsedRounds(tmp_path / "text.sqlite")
