"""Values as JSON has them."""

import math
from typing import Any


def plain(value: Any) -> Any:
    """The value with null in place of each number that is not finite, which JSON cannot say."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
