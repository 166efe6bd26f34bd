"""A registration is read back as it was written, and whatever goes wrong leaves the one that was there."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.spi import ColumnDescription, TableDescription, TypeKind
from middleplatform.catalog.strict import read_strict
from middleplatform.errors import ConfigError
from middleplatform.node.registration import files, record
from middleplatform.node.registration.record import How, Mapped, MappedDataset, Mark, Registration

SOUND = st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn"))
NAME = st.one_of(
    st.text(SOUND, min_size=1, max_size=12),
    st.sampled_from(
        (
            "yes",
            "null",
            "1e5",
            "0x1F",
            "1_000",
            "2024-01-01",
            "~",
            "- a",
            "a: b",
            "#x",
            "'",
            '"',
            "off",
        )
    ),
)
MAPPED = st.builds(Mapped, NAME, st.sampled_from(How), st.booleans())
COLUMN = st.builds(
    ColumnDescription,
    NAME,
    st.sampled_from(TypeKind),
    st.integers(0, 38),
    st.integers(-3, 9),
    st.booleans(),
)


@st.composite
def registrations(draw):
    tables = draw(
        st.dictionaries(
            NAME, st.builds(TableDescription, st.lists(COLUMN, max_size=3).map(tuple)), max_size=2
        )
    )
    datasets = {}
    for place, table in enumerate(tables):
        columns = draw(st.dictionaries(NAME, MAPPED, max_size=3))
        datasets[f"ga.t{place}"] = MappedDataset(
            Mapped(table, How.EXACT, draw(st.booleans())), columns
        )
    digest = "a" * 64
    return Registration(
        "main", "ga", draw(NAME.filter(str.strip)), draw(st.dictionaries(NAME, NAME, max_size=3)), "2026-03-01T00:00:00+00:00",
        tables, datasets,
        draw(st.sampled_from((None, record.Tested("2026", digest, False)))), draw(st.sampled_from((None, Mark("2026", "me", digest)))),
    )  # fmt: skip


@given(registrations())
def test_a_registration_is_read_back_as_it_was_written(registration):
    text = files.text_of(registration)
    value, problems = read_strict("main.yaml", text.encode(), "connector")
    assert problems == ("", "")
    assert files._registration("main", value) == registration
    assert files.text_of(registration) == text


ONE = Registration("main", "ga", "duckdb", {"path": "/data/a.duckdb"}, "2026-03-01T00:00:00+00:00")


def test_files_are_for_their_owner_alone(tmp_path):
    path = files.save(tmp_path, ONE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_taken_name_is_refused_and_left_as_it_is(tmp_path):
    path = files.save(tmp_path, ONE, replace=False)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="--replace"):
        files.save(tmp_path, ONE.changed(kind="other"), replace=False)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["main.yaml"]


def test_a_disk_that_refuses_leaves_nothing_half_written(tmp_path):
    files.save(tmp_path, ONE)
    folder = tmp_path / "connectors"
    (tmp_path / "elsewhere").write_text("no folder")

    def two_files():
        with files.staged() as staged:
            staged.add(folder / "main.yaml", "new")
            staged.add(tmp_path / "elsewhere" / "x", "new")
            staged.move()

    with pytest.raises(ConfigError) as refused:
        two_files()
    assert refused.value.code == "C011"
    assert [each.name for each in folder.iterdir()] == ["main.yaml"]
    assert files.load_one(tmp_path, "main") == ONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name: main", "field department is missing"),
        ("{", "not valid YAML"),
        ("- 1", "must be: object"),
        (files.text_of(ONE) + "surplus: 1\n", "unknown field surplus"),
        (files.text_of(ONE).replace("name: main", "name: other"), "does not fit itself"),
        (files.text_of(ONE).replace("kind: duckdb", "kind: 5"), "must be: string"),
    ],
)
def test_a_damaged_file_is_refused_and_the_damage_named(tmp_path, text, says):
    path = files.save(tmp_path, ONE)
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        files.load_one(tmp_path, "main")
    assert refused.value.code == "C013"
    assert says in refused.value.message("en")
    assert refused.value.message("zh") != refused.value.message("en")


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "1a", "a" * 64, "a/b", "é"])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ConfigError) as refused:
        files.load_one(tmp_path, name)
    assert refused.value.code == "C013"


def test_whoever_edits_a_published_registration_has_to_publish_again():
    published = Registration(**{**_fields(ONE), "published": Mark("2026", "me", ONE.digest)})
    assert published.is_published
    moved = Registration(**{**_fields(published), "options": {"path": "/data/b.duckdb"}})
    assert not moved.is_published


def _fields(registration):
    return {name: getattr(registration, name) for name in Registration.__dataclass_fields__}
