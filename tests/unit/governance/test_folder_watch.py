"""A folder that is watched: what is proposed is what a hand would propose, byte for byte, and nothing half written."""

from contextlib import contextmanager

import pytest
from policy_world import HAN, LU, TAX, files, world

from middleplatform.governance.folder_watch import FolderWatch, What
from middleplatform.governance.written import read_folder, write_folder
from middleplatform.policy.written import content_digest
from middleplatform.store.policies import State


class Watched:
    """A folder under watch; its clock is moved by hand."""

    def __init__(self, made, folder, *, publishes=False):
        self.life, self.folder, self.now = made.life, folder, 0.0
        folder.mkdir()

        @contextmanager
        def opening():
            yield made.life

        self.watch = FolderWatch(opening, HAN, folder, "edited", publishes=publishes, settle_s=2)

    def write(self, found):
        for name, text in found.items():
            (self.folder / name).write_bytes(text.encode())

    def look(self, seconds=0.0):
        self.now += seconds
        return self.watch.look(self.now)

    def settled(self):
        self.look()
        return self.look(2.0)


@pytest.fixture
def made(tmp_path):
    with world(tmp_path) as found:
        yield found


def test_watch_import_and_a_direct_call_propose_the_same(made, tmp_path):
    """The console and REST call ``propose`` with the files that they are given, as the last of the three does."""
    given = files(tax=10, label="2", note="# 中文注释\r\n")
    watched = Watched(made, tmp_path / "edited")
    watched.write(given)
    numbers = [watched.settled().proposal]
    write_folder(given, tmp_path / "exported")
    for found in (read_folder(tmp_path / "exported"), given):
        made.life.reject(LU, numbers[-1], "once more")
        numbers.append(made.life.propose(HAN, found, "by hand"))
    weighed = [made.life.weigh(number) for number in numbers]
    assert {each.proposal.content for each in weighed} == {content_digest(given)}
    assert len({each.proposal.digest for each in weighed}) == 1
    assert len({each.required for each in weighed}) == 1
    assert len({tuple(each.difference.loosens) for each in weighed}) == 1


def test_what_is_exported_and_imported_again_is_the_same_version(made, tmp_path):
    given = files(tax=30, note="# kept\r\n")
    made.life.publish(HAN, made.life.propose(HAN, given, "first"))
    write_folder(made.life.files(1), tmp_path / "out")
    assert read_folder(tmp_path / "out") == given
    watched = Watched(made, tmp_path / "edited")
    watched.write(read_folder(tmp_path / "out"))
    assert watched.settled().what is What.IN_FORCE


def test_files_that_still_change_are_not_taken(made, tmp_path):
    watched = Watched(made, tmp_path / "edited")
    watched.write(files(tax=30))
    assert watched.look() is None
    watched.write({"manifest.yaml": files(tax=30, label="3")["manifest.yaml"]})
    assert watched.look(1.9) is None
    assert watched.look(1.9) is None
    assert watched.look(0.2).what is What.PROPOSED
    assert watched.look(60.0) is None  # once


@pytest.mark.parametrize("broken", ["datasets: {ga", "- 1", "datasets: {ga.nothing: {}}"])
def test_what_does_not_load_is_told_once_and_never_proposed(made, tmp_path, broken):
    watched = Watched(made, tmp_path / "edited")
    watched.write({**files(tax=30), "columns.yaml": broken})
    found = watched.settled()
    assert (found.what, found.error.code) == (What.REFUSED, "C001")
    assert watched.look(60.0) is None
    assert not made.life.proposals()
    watched.write(files(tax=30))
    assert watched.settled().what is What.PROPOSED


def test_bytes_that_are_no_text_and_an_empty_folder_are_no_state_of_a_policy(made, tmp_path):
    watched = Watched(made, tmp_path / "edited")
    assert watched.settled().error.code == "C001"
    (watched.folder / "a.yaml").write_bytes(b"\xff\xfe")
    assert watched.settled().error.code == "C001"
    assert not made.life.proposals()


def test_what_only_tightens_is_published_at_once_and_what_loosens_waits(made, tmp_path):
    watched = Watched(made, tmp_path / "edited", publishes=True)
    watched.write(files(tax=30))
    found = watched.settled()
    assert (found.what, found.version) == (What.PUBLISHED, 1)
    watched.write(files(tax=10))
    found = watched.settled()
    assert (found.what, found.missing) == (What.PROPOSED, True)
    assert made.life.standing().number == 1
    made.life.approve(LU, found.proposal)
    made.life.approve(TAX, found.proposal)
    assert made.life.publish(HAN, found.proposal) == 2


def test_a_later_state_of_the_folder_takes_the_place_of_what_was_proposed_of_the_earlier(
    made, tmp_path
):
    watched = Watched(made, tmp_path / "edited")
    watched.write(files(tax=10))
    first = watched.settled().proposal
    watched.write(files(tax=11))
    second = watched.settled().proposal
    states = {each.number: each.state for each in made.life.proposals()}
    assert states == {first: State.WITHDRAWN, second: State.PROPOSED}


def test_a_watch_that_starts_anew_does_not_propose_twice(made, tmp_path):
    Watched(made, tmp_path / "one").write(files(tax=10))
    number = made.life.propose(HAN, files(tax=10), "by hand")
    watched = Watched(made, tmp_path / "edited")
    watched.write(files(tax=10))
    found = watched.settled()
    assert (found.what, found.proposal, found.missing) == (What.PENDING, number, True)
