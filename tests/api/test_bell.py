"""One ring wakes all who wait, from any thread."""

import asyncio
import threading

from api.bell import Bell


def test_one_ring_from_another_thread_wakes_all_who_wait() -> None:
    async def ring_for(many: int) -> tuple[Bell, int]:
        bell = Bell()
        waiting = [asyncio.wait([bell.next]) for _ in range(many)]
        threading.Thread(target=bell.ring).start()
        await asyncio.gather(*waiting)
        assert not bell.next.done()  # the next to wait hears the next ring
        return bell, many

    bell, woken = asyncio.run(ring_for(50))
    assert woken == 50
    bell.ring()  # the loop has ended, and nobody minds
