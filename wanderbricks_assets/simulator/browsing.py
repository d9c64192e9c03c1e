"""Views and clicks of shopping episodes: one or several sittings within three days, then the decision."""

import numpy as np

from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.choice import ChoiceSets
from wanderbricks_assets.simulator.world import Columns, draw

LONGEST_EPISODE = 3.0  # days
MORE_SITTINGS = (0.9, 0.3)  # mean number beyond the first, planners and dreamers
MOST_SITTINGS = 4


def spread(lead: np.ndarray) -> np.ndarray:
    """Days over which an episode may stretch: never beyond the day before arrival."""
    return np.clip(lead - 1.0, 0.0, LONGEST_EPISODE)


def still_deciding(lead: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Probability that a planner decides more than `days` after the first look.

    Sittings are uniform over the spread, and one more than a Poisson number of mean m: so this is the probability
    that their range exceeds a share x of it, 1 - exp(-m (1 - x)) (1 + m x (1 - x)).
    """
    span, more = spread(lead), MORE_SITTINGS[0]
    x = np.clip(np.where(span > 0, days / np.maximum(span, 1e-9), 1.0), 0.0, 1.0)
    return 1 - np.exp(-more * (1 - x)) * (1 + more * x * (1 - x))


def start_seconds(rng: np.random.Generator, utc_offset: np.ndarray) -> np.ndarray:
    """Seconds of the UTC day at which people begin, by the local hours at which people browse."""
    local = draw(rng, c.HOURS, len(utc_offset)) * 3600 + rng.integers(0, 3600, len(utc_offset))
    return (local - utc_offset * 3600) % c.SECONDS


def browse(rng: np.random.Generator, e: Columns, sets: ChoiceSets) -> tuple[Columns, Columns, np.ndarray]:
    """Returns (views, clicks, decided): decided is [episodes] seconds since 1970 at which the episode ends.

    How much is looked at depends on how attractive things are, never on what is chosen in the end: so a view tells
    about the probability of a booking, not about the booking.
    """
    n = len(e["user"])
    more = np.where(e["dreams"], MORE_SITTINGS[1], MORE_SITTINGS[0])
    sittings = np.where(spread(e["lead"]) > 0, np.minimum(1 + rng.poisson(more), MOST_SITTINGS), 1)
    offset = np.sort(
        np.where(np.arange(MOST_SITTINGS) < sittings[:, None], rng.random((n, MOST_SITTINGS)), 9.0), axis=1
    )
    offset -= offset[:, :1]
    offset = offset * (spread(e["lead"]) * c.SECONDS)[:, None]

    row, column = np.nonzero(sets.valid)
    best = sets.utility.max(axis=1, initial=-50.0)
    interest = np.exp(sets.utility[row, column] - best[row])
    extra = rng.poisson((0.2 + 1.3 * interest) * np.where(e["dreams"][row], 0.6, 1.0))
    repeat = 1 + np.minimum(extra, 6)
    pair = np.repeat(np.arange(len(row)), repeat)
    row, prop, interest = row[pair], sets.prop[row, column][pair], interest[pair]
    probability = sets.probability[row, column[pair]]
    sitting = (rng.random(len(row)) * sittings[row]).astype(int)
    order = np.lexsort((rng.random(len(row)), sitting, row))
    row, prop, interest, probability, sitting = (x[order] for x in (row, prop, interest, probability, sitting))
    dwell = np.minimum(15 + rng.exponential(50 + 70 * interest), 1500).astype(np.int64)
    total = np.cumsum(dwell)
    group = row * MOST_SITTINGS + sitting
    begins = np.flatnonzero(np.diff(group, prepend=-1))
    before = np.repeat((total - dwell)[begins], np.diff(np.append(begins, len(row))))
    time = e["started"][row] + offset[row, sitting].astype(np.int64) + (total - dwell - before)
    device, referrer = e["device"][row], e["referrer"][row]
    # Later sittings mostly come straight back.
    referrer = np.where((sitting > 0) & (rng.random(len(row)) < 0.5), 0, referrer)
    views = Columns(
        time=time, user=e["user"][row], prop=prop, device=device, referrer=referrer, probability=probability
    )
    decided = e["started"].copy()
    np.maximum.at(decided, row, time + dwell)
    decided += rng.integers(60, 900, n)
    return views, _clicks(rng, views, interest), decided


def _clicks(rng: np.random.Generator, views: Columns, interest: np.ndarray) -> Columns:
    """The clickstream samples views, and what is done on the page; people click more on what they like."""
    n = len(interest)
    index = np.flatnonzero(rng.random(n) < c.CLICKS_PER_VIEW)
    weight = np.array([0.40, 0.15, 0.15, 0.10]) + interest[index, None] * np.array([0.0, 0.30, 0.0, 0.0])
    cumulative = np.cumsum(weight, axis=1)
    event = (cumulative <= (rng.random(len(index)) * cumulative[:, -1])[:, None]).sum(axis=1)
    clicks = views.take(index)
    del clicks["probability"]
    clicks["event"] = np.minimum(event, 3)
    clicks["time"] = clicks["time"] + np.where(event == 0, 0, rng.integers(1, 15, len(index)))
    return clicks
