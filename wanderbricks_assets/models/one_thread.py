"""Linear algebra in one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps


def one_thread(method: Callable) -> Callable:
    """Matrices this small are slower on many threads, and their last bits would differ by the number of cores."""

    @wraps(method)
    def limited(*args, **kwargs):
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return method(*args, **kwargs)

    return limited
