"""What is published comes into force in a running process, once, and a store that fails changes nothing."""

import asyncio
import logging
from contextlib import suppress

from policy_world import HAN, files, world

from middleplatform.errors import ConfigError
from middleplatform.governance.watching import watch


class Seen(list):
    """What was put in force; ``event`` says that something was."""

    def __init__(self):
        super().__init__()
        self.event = asyncio.Event()

    def put(self, bundle):
        self.append(bundle.digest)
        self.event.set()


class Looks:
    """A life-cycle's ``standing`` that counts how often it is looked at, and fails as long as it is told to."""

    def __init__(self, life, *, broken=False):
        self.whole, self.broken, self.count = life.standing, broken, 0
        self.loop, self.waiting = asyncio.get_running_loop(), []

    def __call__(self):
        self.count += 1
        for due, event in self.waiting:
            if self.count >= due:
                self.loop.call_soon_threadsafe(event.set)
        if self.broken:
            raise ConfigError("C015", what="gone")
        return self.whole()

    async def more(self, count):
        """Wait for so many looks."""
        event = asyncio.Event()
        self.waiting.append((self.count + count, event))
        await event.wait()


def watched(life, story, *, broken=False):
    """Run ``story`` beside a watch."""

    async def both():
        seen, first = Seen(), life.standing()
        life.standing = looks = Looks(life, broken=broken)
        watching = asyncio.create_task(watch(life, first, seen.put, 0.001))
        await story(seen, looks)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        return seen

    return asyncio.run(asyncio.wait_for(both(), 60))


def test_a_new_version_is_put_in_force_once(tmp_path):
    with world(tmp_path) as made:
        life = made.life

        async def story(seen, looks):
            await looks.more(3)
            number = await asyncio.to_thread(life.propose, HAN, files(ga=30), "stricter")
            await looks.more(3)
            assert seen == []
            await asyncio.to_thread(life.publish, HAN, number)
            await seen.event.wait()
            await looks.more(3)

        seen = watched(life, story)
        assert seen == [each.digest for each in life.versions()]


def test_a_store_that_cannot_be_read_changes_nothing_and_is_told_once(tmp_path, caplog):
    with world(tmp_path) as made:
        life = made.life
        life.publish(HAN, life.propose(HAN, files(ga=30), "stricter"))

        async def story(seen, looks):
            await looks.more(4)
            assert seen == []
            looks.broken = False
            await looks.more(3)

        with caplog.at_level(logging.ERROR, "middleplatform.governance"):
            assert watched(life, story, broken=True) == []
        assert [each.levelname for each in caplog.records] == ["ERROR"]
        assert "C015" in caplog.text


def test_what_another_process_decided_is_finished_by_the_one_that_watches(tmp_path):
    with world(tmp_path) as made:
        beside = made.beside()

        async def story(seen, _):
            number = await asyncio.to_thread(beside.propose, HAN, files(ga=30), "stricter")
            await asyncio.to_thread(beside.publish, HAN, number)
            await seen.event.wait()

        assert len(watched(made.life, story)) == 1
        assert [each["action"] for each in made.entries()] == ["proposed", "published"]
