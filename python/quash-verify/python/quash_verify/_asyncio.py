"""Waits for the follower in an asyncio event loop. Each loop has one descriptor and one queue of answers."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from ._native import Answers

P = ParamSpec("P")


class Bridge:
    """The answers for one event loop, in the process that made it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answers = Answers()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        loop.add_reader(self.answers.fileno(), self._deliver)

    def expect(self, future: asyncio.Future[Any]) -> int:
        """Returns the number under which the answer for this future arrives."""
        self._number += 1
        self._waiting[self._number] = future
        return self._number

    def forget(self, number: int) -> None:
        """Ignores an answer."""
        self._waiting.pop(number, None)

    def _deliver(self) -> None:
        for number, value, is_value in self.answers.take():
            future = self._waiting.pop(number, None)
            if future is None or future.done():
                continue
            if is_value:
                future.set_result(value)
            else:
                future.set_exception(value)


# A bridge doesn't refer to its loop, so it ends with the loop.
_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Bridge] = weakref.WeakKeyDictionary()


def _bridge(loop: asyncio.AbstractEventLoop) -> Bridge:
    bridge = _bridges.get(loop)
    if bridge is None or not bridge.answers.is_current():
        bridge = _bridges[loop] = Bridge(loop)
    return bridge


async def wait(begin: Callable[Concatenate[Answers, int, P], None], *args: P.args, **kwargs: P.kwargs) -> Any:
    """Begins a task on the follower and waits for its answer."""
    loop = asyncio.get_running_loop()
    bridge = _bridge(loop)
    future: asyncio.Future[Any] = loop.create_future()
    number = bridge.expect(future)
    try:
        begin(bridge.answers, number, *args, **kwargs)
        return await future
    finally:
        bridge.forget(number)
