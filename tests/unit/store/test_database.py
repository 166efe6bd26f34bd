"""Do both databases keep the same promises?"""

import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, text

import middleplatform.store.migrations as scripts
from middleplatform import store as tables
from middleplatform.errors import ConfigError
from middleplatform.settings import Settings
from middleplatform.store.acts import acts
from middleplatform.store.database import REVISIONS, Store, metadata, url_of
from middleplatform.store.policies import files_of, keep, policy_contents, policy_files

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
FILES = {"manifest.yaml": "name: x\r\n# 注释\n", "columns.yaml": "\ufeffa: 1\n\n"}


def contents(store):
    with store.reading() as connection:
        return connection.execute(select(policy_contents.c.digest)).scalars().all()


def test_a_new_store_has_exactly_the_tables_that_the_program_declares(store):
    for each in iter_modules(tables.__path__):  # whoever declares a table
        import_module(f"{tables.__name__}.{each.name}")
    with store.writing() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_program_knows_every_form_and_which_is_the_newest():
    script = ScriptDirectory(Path(scripts.__file__).parent)
    known = [each.revision for each in script.walk_revisions()][::-1]
    assert list(REVISIONS) == known
    assert [each.module.__name__ for each in script.walk_revisions()][::-1] == [
        f"{name.rsplit('.', 1)[1]}_py" for name in REVISIONS.values()
    ]


def test_what_was_written_is_there_after_opening_again(store, store_url):
    with store.writing() as connection:
        name = keep(connection, FILES, NOW)
    with Store.open(store_url) as again, again.reading() as connection:
        assert files_of(connection, name) == FILES


def test_a_transaction_that_fails_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        assert 1 / (keep(connection, FILES, NOW) == "")
    assert contents(store) == []


def test_a_store_of_a_newer_program_is_refused_and_left_as_it_is(store, store_url):
    with store.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError) as refused:
        Store.open(store_url)
    assert refused.value.code == "C015"
    with store.reading() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        )


def test_of_two_that_open_a_new_store_at_once_both_succeed(store_url):
    opened, barrier = [], threading.Barrier(2)

    def start():
        barrier.wait()
        opened.append(Store.open(store_url))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(opened) == 2
    for each in opened:
        each.close()


def test_writers_come_one_after_the_other_so_that_no_count_is_lost(store):
    def add():
        for _ in range(5):
            with store.writing() as connection:
                known = len(connection.execute(select(policy_contents.c.digest)).all())
                connection.execute(
                    insert(policy_contents).values(digest=f"{known:064d}", kept_at=NOW)
                )

    threads = [threading.Thread(target=add) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(contents(store)) == [f"{n:064d}" for n in range(20)]


def test_a_reader_sees_one_state_while_others_write(store):
    with store.reading() as reader:
        before = reader.execute(select(policy_contents.c.digest)).all()
        with store.writing() as writer:
            keep(writer, FILES, NOW)
        assert reader.execute(select(policy_contents.c.digest)).all() == before == []
    assert len(contents(store)) == 1


def test_a_reader_cannot_write_where_the_database_can_forbid_it(store):
    if store.engine.dialect.name == "postgresql":
        with pytest.raises(ConfigError), store.reading() as reader:
            keep(reader, FILES, NOW)
    with store.reading() as reader:
        assert reader.execute(select(policy_contents.c.digest)).all() == []


def test_references_are_kept(store):
    with pytest.raises(ConfigError), store.writing() as connection:
        connection.execute(insert(policy_files).values(content="0" * 64, path="a", text="b"))


def test_moments_keep_their_instant_and_their_order(store):
    east = timezone(timedelta(hours=8))
    moments = [NOW.astimezone(east), NOW + timedelta(microseconds=1), NOW + timedelta(days=1)]
    with store.writing() as connection:
        for number, at in enumerate(moments):
            connection.execute(
                insert(acts).values(
                    number=number, id=f"{number:032x}", event="e", body={}, changes=[], at=at,
                    audit_index=number,
                )
            )  # fmt: skip
    with store.reading() as connection:
        found = connection.execute(select(acts.c.at).order_by(acts.c.at.desc())).scalars().all()
        late = connection.execute(select(acts.c.number).where(acts.c.at > NOW)).scalars().all()
    assert found == moments[::-1]
    assert all(each.tzinfo == UTC for each in found)
    assert sorted(late) == [1, 2]


def test_a_moment_without_an_offset_is_refused(store):
    with pytest.raises(ConfigError), store.writing() as connection:
        connection.execute(
            insert(policy_contents).values(digest="0" * 64, kept_at=NOW.replace(tzinfo=None))
        )


def test_the_file_is_its_owners_alone_and_stands_in_the_state_folder(tmp_path):
    url = url_of(Settings(state=tmp_path / "state"))
    Store.open(url).close()
    mode = (tmp_path / "state" / "store.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert url_of(Settings(store="postgresql+pg8000://h/d")) == "postgresql+pg8000://h/d"


@pytest.mark.parametrize(
    "url", ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://h/d", "::"]
)
def test_another_address_is_refused(url):
    with pytest.raises(ConfigError) as refused:
        Store.open(url)
    assert refused.value.code == "C003"


def test_a_server_that_does_not_answer_is_told_without_its_password(postgres):
    url = f"postgresql+pg8000://someone:secret-word@127.0.0.1:{postgres.port}/absent"
    with pytest.raises(ConfigError) as refused:
        Store.open(url)
    assert refused.value.code == "C015"
    assert "secret-word" not in refused.value.public_message + refused.value.detail


def test_a_server_elsewhere_is_asked_for_a_certificate(postgres, monkeypatch):
    monkeypatch.setattr("middleplatform.store.database._LOOPBACK", ())
    with pytest.raises(ConfigError) as refused:
        Store.open(f"postgresql+pg8000://postgres@127.0.0.1:{postgres.port}/postgres")
    assert refused.value.code == "C015"
