"""The threads in which models predict, and the bounded queue before them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wanderbricks_assets.serving.errors import too_many
from wanderbricks_assets.serving.guard import Limits

T = TypeVar("T")


class Predicting:
    """Runs work of models outside of the event loop, which goes on answering meanwhile."""

    def __init__(self, limits: Limits):
        self._most_waiting = limits.waiting
        self._most = limits.threads + limits.waiting
        self._pool = ThreadPoolExecutor(limits.threads, thread_name_prefix="prediction")
        self._busy = 0

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What the work gives or raises. Raises ApiError (429) where too many wait already."""
        if self._busy >= self._most:
            raise too_many(f"{self._most_waiting} requests wait already; try again in a moment.")
        self._busy += 1
        running = asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        # Also when its request is given up: the thread goes on, and keeps its place until it ends.
        running.add_done_callback(self._ended)
        return await asyncio.shield(running)

    def _ended(self, running: asyncio.Future) -> None:
        self._busy -= 1
        if not running.cancelled():
            running.exception()  # of a request that was given up, nobody else looks at it
