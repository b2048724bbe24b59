"""Writers of one process take turns: whoever waits is next, however eagerly others ask again."""

from __future__ import annotations

from threading import Event, Thread

from mediabroker.store.turns import Turns


def test_the_lock_is_handed_on_in_the_order_of_asking() -> None:
    turns, served, threads = Turns(), list[int](), list[Thread]()
    assert turns.acquire(0)

    def wait(number: int) -> None:
        assert turns.acquire(20)
        served.append(number)
        turns.release()

    for number in range(5):
        threads.append(Thread(target=wait, args=(number,)))
        threads[-1].start()
        while len(turns._waiting) <= number:
            Event().wait(0.001)
    turns.release()
    for thread in threads:
        thread.join()
    assert served == [0, 1, 2, 3, 4]
    assert turns.acquire(0)


def test_who_asks_again_at_once_does_not_overtake() -> None:
    turns, done = Turns(), Event()
    assert turns.acquire(0)

    def wait() -> None:
        assert turns.acquire(20)
        done.set()
        turns.release()

    waiter = Thread(target=wait)
    waiter.start()
    while not turns._waiting:
        Event().wait(0.001)
    turns.release()
    assert turns.acquire(20)
    assert done.is_set()
    turns.release()
    waiter.join()


def test_who_waits_in_vain_gives_up_and_blocks_nobody() -> None:
    turns = Turns()
    assert turns.acquire(0)
    assert not turns.acquire(0.01)
    turns.release()
    assert turns.acquire(0)
