"""A small cache of what was made last for an object that cannot be a dictionary key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class RecentlyMade(Generic[Value]):
    """Values made for an owner and a key, the least recently used dropped first.

    The owner is held as long as its value, so that its id cannot pass to another object.

    Args:
        most: How many values are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[tuple[int, Hashable], tuple[object, Value]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, owner: object, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value for the owner and key, made when there is none."""
        place = (id(owner), key)
        with self._lock:
            if place in self._values:
                self._values.move_to_end(place)
                return self._values[place][1]
        value = make()
        with self._lock:
            if place not in self._values:  # else another thread was faster
                self._keep(place, owner, value)
            return self._values[place][1]

    def put(self, owner: object, key: Hashable, value: Value) -> None:
        """Keep a value in place of the one that was there."""
        with self._lock:
            self._keep((id(owner), key), owner, value)

    def _keep(self, place: tuple[int, Hashable], owner: object, value: Value) -> None:
        self._values[place] = (owner, value)
        self._values.move_to_end(place)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
