"""Judging statements that nobody has asked is bounded: nobody can have the processor, or all who wait, for himself."""

import asyncio
import threading

BODY = {"sql": "SELECT COUNT(*) FROM ga.population", "purpose": "statistics"}


class Slow:
    """Judges until it is let go; says how many were judged at once."""

    def __init__(self, judge):
        self.judge, self.go = judge, threading.Event()
        self.count, self.most, self.lock = 0, 0, threading.Lock()

    def __call__(self, request):
        with self.lock:
            self.count += 1
            self.most = max(self.most, self.count)
        self.go.wait(20)
        with self.lock:
            self.count -= 1
        return self.judge(request)


async def _all(service, slow):
    """Have one person explain twelve statements and another one more; return both outcomes."""
    async with service.client() as one, service.client("department_steward") as other:
        own = [asyncio.create_task(one.post("/v1/explain", json=BODY)) for _ in range(12)]
        done: set = set()
        while len(done) < 4:
            done, _ = await asyncio.wait(own, return_when=asyncio.FIRST_COMPLETED)
        late = asyncio.create_task(other.post("/v1/explain", json=BODY))
        slow.go.set()
        return [each.status_code for each in await asyncio.gather(*own)], await late


def test_one_person_has_eight_and_two_are_judged_at_once(service):
    slow = service.gateway.advise = Slow(service.gateway.advise)
    own, other = asyncio.run(_all(service, slow))
    assert sorted(own) == [200] * 8 + [429] * 4
    assert (other.status_code, slow.most) == (200, 2)
    slow.go.set()
    assert service.ask("POST", "/v1/explain", json=BODY).status_code == 200
