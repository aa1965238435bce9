"""The small cache of what was made last."""

import threading

from agentkit._recent import RecentlyMade


def test_a_value_is_made_once_for_an_owner_and_a_key():
    kept, owner, made = RecentlyMade(8), object(), []
    for _ in range(3):
        assert kept.get(owner, "key", lambda: made.append(1) or len(made)) == 1
    assert kept.get(owner, "other", lambda: 2) == 2
    assert kept.get(object(), "key", lambda: 3) == 3


def test_the_least_recently_used_is_dropped_first():
    kept, owner = RecentlyMade(2), object()
    kept.put(owner, "a", 1)
    kept.put(owner, "b", 2)
    kept.get(owner, "a", lambda: 0)
    kept.put(owner, "c", 3)
    assert [kept.get(owner, key, lambda: "new") for key in ("a", "c", "b")] == [1, 3, "new"]


def test_a_value_that_was_put_again_counts_as_used():
    kept, owner = RecentlyMade(2), object()
    kept.put(owner, "a", 1)
    kept.put(owner, "b", 2)
    kept.put(owner, "a", 3)
    kept.put(owner, "c", 4)
    assert kept.get(owner, "a", lambda: "new") == 3


def test_what_was_put_while_another_was_being_made_stays():
    kept, owner = RecentlyMade(8), object()

    def make():
        kept.put(owner, "key", "put")
        return "made"

    assert kept.get(owner, "key", make) == "put"


def test_none_is_a_value():
    kept, owner = RecentlyMade(8), object()
    kept.put(owner, "key", None)
    assert kept.get(owner, "key", lambda: "made") is None


def test_threads_that_ask_at_once_get_the_same_value():
    kept, owner, got = RecentlyMade(8), object(), []
    everyone_makes = threading.Barrier(8)

    def make():
        everyone_makes.wait(60)
        return object()

    threads = [
        threading.Thread(target=lambda: got.append(kept.get(owner, "key", make))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len(set(map(id, got))) == 1
