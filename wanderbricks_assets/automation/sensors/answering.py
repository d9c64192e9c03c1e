"""What a sensor answers once: its cursor holds, by name, what was answered last."""

import json
from collections.abc import Callable, Mapping

import dagster as dg

Answer = dg.RunRequest | dg.SkipReason | str


def answer(
    answered: Mapping[str, object], new: Mapping[str, tuple[object, Callable[[], Answer]]], nothing_new: str
) -> dg.SensorResult:
    """Answer what is new, by name: its value, and what answers it.

    A run or a sentence is an answer. A SkipReason is none: the run cannot be asked for just now, and the next tick
    tries again.
    """
    answered = dict(answered)
    requests: list[dg.RunRequest] = []
    reasons: list[str] = []
    for name, (value, respond) in new.items():
        found = respond()
        if isinstance(found, dg.SkipReason):
            reasons.append(found.skip_message)
            continue
        if isinstance(found, dg.RunRequest):
            requests.append(found)
        else:
            reasons.append(found)
        answered[name] = value
    cursor = json.dumps(answered)
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    return dg.SensorResult(skip_reason=" ".join(reasons) or nothing_new, cursor=cursor)
