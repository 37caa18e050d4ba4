"""Waits for the follower in a greenlet, without blocking its thread. Each hub has one descriptor and one queue of
answers."""

import weakref
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import gevent
from gevent.event import AsyncResult

from ._native import Answers

P = ParamSpec("P")


class Bridge:
    """The answers for one hub, in the process that made it."""

    def __init__(self, hub: Any) -> None:
        self.answers = Answers()
        self._waiting: dict[int, AsyncResult[Any]] = {}
        self._number = 0
        # 1: wait for reading.
        self._watcher = hub.loop.io(self.answers.fileno(), 1)

    def expect(self, result: "AsyncResult[Any]") -> int:
        """Returns the number under which the answer for this result arrives."""
        self._number += 1
        self._waiting[self._number] = result
        if not self._watcher.active:
            self._watcher.start(self._deliver)
        return self._number

    def forget(self, number: int) -> None:
        """Ignores an answer. A hub without anything to wait for may end, so the descriptor isn't watched then."""
        self._waiting.pop(number, None)
        if not self._waiting:
            self._watcher.stop()

    def _deliver(self) -> None:
        for number, value, is_value in self.answers.take():
            result = self._waiting.pop(number, None)
            if result is None:
                continue
            if is_value:
                result.set(value)
            else:
                result.set_exception(value)


_bridges: weakref.WeakKeyDictionary[Any, Bridge] = weakref.WeakKeyDictionary()


def wait(begin: Callable[Concatenate[Answers, int, P], None], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Begins a task on the follower and waits for its answer."""
    hub = gevent.get_hub()
    bridge = _bridges.get(hub)
    if bridge is None or not bridge.answers.is_current():
        bridge = _bridges[hub] = Bridge(hub)
    result: AsyncResult[Any] = AsyncResult()
    number = bridge.expect(result)
    try:
        begin(bridge.answers, number, *args, **kwargs)
        return result.get()
    finally:
        bridge.forget(number)
