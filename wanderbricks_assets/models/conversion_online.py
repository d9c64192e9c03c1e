"""The row of a user and a property that the conversion predictor needs, from what was kept of each side.

`sides` keeps what is known at a moment of every listing and every user; `pair_row` puts two of them together for a view
at that moment or in the hours after it. Both are the parts of `view_features`, so the row is what that would give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wanderbricks_assets.features.past import in_memory
from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.conversion_features import (
    LOOK_BACK,
    Known,
    believed_views,
    derived,
    search,
)
from wanderbricks_assets.models.model import Tables

# What is kept of a view: what it was, and of its listing, as it was then, what searches compare.
LOOK = [
    *("property_id", "viewed_at", "device_type", "referrer"),
    *("destination", "base_price", "max_guests", "property_conversion"),
]
_TYPES = {
    **dict.fromkeys(("viewed_at", "registered_at"), "datetime64[us]"),
    **dict.fromkeys(("base_price", "max_guests", "property_conversion"), "float64"),
    **dict.fromkeys(("user_id", "property_id", "view_id", "destination"), "int64"),
}


@dataclass(frozen=True)
class Sides:
    """listings: one row per property_id; visitors: one row per user_id, with visits_of_kinds (by kind) and guest_of
    (properties); looks: the views of two LOOK_BACKs before the moment, with user_id and LOOK, in the order of time."""

    listings: pd.DataFrame
    visitors: pd.DataFrame
    looks: pd.DataFrame


def sides(tables: Tables, moment: datetime) -> Sides:
    """What is known at the moment of every listing that is listed then, and of every user."""
    dim_user = tables["dim_user"]
    users = dim_user.filter(dim_user.effective_from <= moment).select("user_id").distinct()
    # What is available at the moment itself is known.
    known = Known(tables, users, moment, moment + timedelta(seconds=1))
    listings = known.add_listings(pd.DataFrame({"property_id": np.sort(known.places.index), "at": moment}))
    listings = known.add_engagement(listings[listings["base_price"].notna()].reset_index(drop=True))
    # Whether a view within the LOOK_BACK was the first of its property is told by the LOOK_BACK before it.
    looks = in_memory(believed_views(tables["page_views"], moment - 2 * LOOK_BACK, moment))
    looks = looks.sort_values(["viewed_at", "view_id"], ignore_index=True)
    looks = known.add_listings(looks.assign(at=looks["viewed_at"]))[["user_id", *LOOK]]
    return Sides(listings.drop(columns="at"), _visitors(known, moment), looks)


def pair_row(
    listing: Mapping[str, Any], visitor: Mapping[str, Any], looks: Sequence[Mapping[str, Any]], **context
) -> dict[str, np.ndarray]:
    """The one row of inputs of the conversion predictor, by column, for a view of the listing by the visitor.

    listing, visitor: rows of Sides; looks: those of the visitor. context: viewed_at, from the moment of the sides to
    the end of its day; device_type and referrer, as page_views has them.
    """
    asked = {**listing, **context}
    views = {name: _column(name, [*(look[name] for look in looks), asked[name]]) for name in LOOK}
    users = np.full(len(looks) + 1, visitor["user_id"])
    searched = search({**views, "user_id": users, "at": views["viewed_at"]})
    kind = visitor["visits_of_kinds"].get(str(listing["kind"]), 0)
    more = {"visits_of_kind": kind, "was_guest": listing["property_id"] in visitor["guest_of"], "view_id": 0}
    row = {name: _column(name, [value]) for name, value in {**visitor, **listing, **context, **more}.items()}
    return derived(row | {name: value[-1:] for name, value in searched.items()})


def _column(name: str, values: list[object]) -> np.ndarray:
    return np.array(values, _TYPES.get(name, "object"))


def _visitors(known: Known, moment: datetime) -> pd.DataFrame:
    """One row per user: who it is, and the earlier visits and bookings."""
    users = pd.DataFrame({"user_id": np.sort(in_memory(known.users)["user_id"]), "at": moment})
    kinds = np.sort(known.places["kind"].unique())
    # Visits are counted by kind of property: one row per user and kind asks for them.
    by_kind = users.merge(pd.DataFrame({"kind": kinds}), how="cross").assign(property_id=-1)
    by_kind = known.add_visits(by_kind)
    counts = by_kind.groupby("user_id")[["user_bookings", "user_visits"]].first()
    frame = known.add_visitors(users).drop(columns="at").join(counts, on="user_id")
    visits: dict[int, dict[str, int]] = {}
    some = by_kind[by_kind["visits_of_kind"] > 0]
    for user, kind, count in some[["user_id", "kind", "visits_of_kind"]].to_numpy().tolist():
        visits.setdefault(user, {})[str(kind)] = count
    made = known.visits.made
    guests: dict[int, list[int]] = {}
    for user, stay in (
        made.loc[made["made_at"] < moment, ["user_id", "property_id"]].drop_duplicates().to_numpy().tolist()
    ):
        guests.setdefault(user, []).append(stay)
    return frame.assign(
        visits_of_kinds=[visits.get(user, {}) for user in frame["user_id"]],
        guest_of=[guests.get(user, []) for user in frame["user_id"]],
    )
