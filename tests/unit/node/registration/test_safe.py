"""What leaves of a profile holds no small count, and none follows from what is shown."""

from hypothesis import given
from hypothesis import strategies as st

from middleplatform.node.registration.profile import Faults, faults, quality
from middleplatform.node.registration.safe import safe_counts

LEAST = st.integers(1, 40)
PARTS = st.lists(st.integers(0, 90), min_size=4, max_size=4)


@given(PARTS, LEAST, st.integers(0, 300))
def test_every_shown_count_and_what_it_leaves_is_at_least_the_threshold(parts, least, duplicates):
    missing, normalisable, invalid, _ = parts
    found = Faults(sum(parts), missing, normalisable, invalid)
    duplicates = min(duplicates, found.rows - missing)
    shown = safe_counts(found, duplicates, least)
    visible = [
        shown[kind] for kind in ("missing", "normalisable", "invalid") if shown[kind] is not None
    ]
    assert all(count >= least for count in visible)
    if visible:
        assert found.rows - sum(visible) >= least
    if shown["duplicates"] is not None:
        assert shown["duplicates"] >= least
        assert found.rows - duplicates - (shown["missing"] or 0) >= least


@given(PARTS, LEAST)
def test_a_reader_cannot_tell_small_counts_apart(parts, least):
    """Moving rows among counts below the threshold and the right values changes nothing that is shown."""
    missing, normalisable, invalid, _ = parts
    rows = sum(parts)
    shown = safe_counts(Faults(rows, missing, normalisable, invalid), None, least)
    cleaned = [0 if count < least else count for count in (missing, normalisable, invalid)]
    rest = rows - sum(count for count in cleaned if count)
    if rest >= least or not any(cleaned):
        assert shown == safe_counts(Faults(rows, *cleaned), None, least)


def test_the_quality_that_leaves_is_that_of_the_counts_that_leave():
    assert safe_counts(Faults(1000, 3, 0, 0), None, 10)["quality"] == 1.0
    assert safe_counts(Faults(1000, 100, 0, 50), None, 10)["quality"] == 0.85
    assert safe_counts(Faults(5, 0, 0, 0), None, 10)["quality"] is None


@given(
    st.integers(0, 100),
    st.dictionaries(
        st.sampled_from(
            ("missing", "normalisable", "old_form", "bad_form", "outside_codes", "future")
        ),
        st.integers(0, 60),
    ),
)
def test_faults_never_exceed_the_rows(rows, counts):
    counts["missing"] = min(rows, counts.get("missing", 0))
    found = faults(rows, counts)
    assert found.missing + found.normalisable + found.invalid <= rows
    assert 0 <= quality(found) <= 1
