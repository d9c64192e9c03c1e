"""Recommended prices of the nights to come beside today's, and what is expected of them."""

from __future__ import annotations

from wanderbricks_assets.dashboard.queries.newest import newest
from wanderbricks_assets.gold.decisions import standing
from wanderbricks_assets.lazy import Table, np, pd

BIN = 0.05  # of a histogram of price changes
_NAMES = ["property_id", "title", "destination", "property_type", "kind", "reason"]


def nights(
    price_recommendations: Table, dim_property: Table, dim_destination: Table, price_decisions: Table
) -> pd.DataFrame:
    """The newest recommendations, a row per listing and night, with where and what the listing is.

    change: of the price, a fraction. expected_gain: expected revenue at the recommended price less that at the current
    one. kind: the reason without its figures, so that it can be filtered by. decision: the host's, where there is one.
    """
    listed = dim_property.filter(dim_property.is_current)
    listed = listed.select("property_id", "title", "property_type", "destination_id")
    places = dim_destination.select("destination_id", "destination")
    rows = newest(price_recommendations)
    rows = rows.left_join(listed, "property_id").drop("property_id_right")
    rows = rows.left_join(places, "destination_id").drop("destination_id_right")
    key = ["property_id", "target_date", "prediction_date"]
    rows = rows.left_join(standing(price_decisions).select(*key, "decision"), key)
    rows = rows.drop([f"{name}_right" for name in key])
    rows = rows.mutate(
        change=rows.recommended_price / rows.current_price.nullif(0) - 1,
        expected_gain=rows.expected_revenue - rows.current_expected_revenue,
        kind=rows.reason.split(", elasticity")[0],
    )
    columns = [
        *("target_date", "current_price", "recommended_price", "change"),
        *("expected_demand", "expected_revenue", "current_expected_revenue", "expected_gain", "decision", "made_at"),
    ]
    found = rows.select(*_NAMES, *columns).order_by("property_id", "target_date").to_pandas()
    # Few names for many rows: a tenth of the memory, and of the time to take them out of the cache.
    names = dict.fromkeys(_NAMES[1:], "category")
    return found.astype({**names, "target_date": "datetime64[ns]"})


def choices(rows: pd.DataFrame) -> dict[str, list[str]]:
    """What can be filtered by: destinations and types by name, kinds of reason by how many nights they decide."""
    named = {name: sorted(rows[name].cat.categories) for name in ("destination", "property_type")}
    return {**named, "kind": rows["kind"].value_counts(sort=True).index.tolist()}


def chosen(rows: pd.DataFrame, **wanted: str | None) -> pd.DataFrame:
    """The rows of a destination, property_type and kind; None: of all."""
    keep = np.ones(len(rows), dtype=bool)
    for name, value in wanted.items():
        if value is not None:
            keep &= (rows[name] == value).to_numpy()
    return rows[keep]


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """[bins] change (the middle of the bin; 0 are the prices that stay), nights, expected_gain.

    A price that stays is a decision of its own, not a small change.
    """
    change = rows["change"].to_numpy()
    # A rise of just 30% by a price rounded to cents belongs to the bin that ends there.
    middle = np.sign(change) * (np.ceil(np.round(np.abs(change) / BIN, 2)) - 0.5) * BIN
    bins = pd.Series(np.where(change == 0, 0.0, middle).round(4), index=rows.index, name="change")
    found = rows.groupby(bins).agg(nights=("change", "size"), expected_gain=("expected_gain", "sum"))
    return found.reset_index()


def reasons(rows: pd.DataFrame) -> pd.DataFrame:
    """[kinds] kind, nights, expected_gain; the most frequent first."""
    found = rows.groupby("kind", observed=True).agg(nights=("change", "size"), expected_gain=("expected_gain", "sum"))
    return found.sort_values("nights", ascending=False).reset_index().astype({"kind": "object"})


def listings(rows: pd.DataFrame) -> pd.DataFrame:
    """[listings] property_id, title, destination, property_type, current_price and recommended_price (means of the
    nights), change (of their sum), nights (that change), expected_gain; the greatest gain first."""
    found = rows.assign(moves=rows["change"] != 0).groupby("property_id", observed=True)
    found = found.agg(
        title=("title", "first"),
        destination=("destination", "first"),
        property_type=("property_type", "first"),
        current_price=("current_price", "mean"),
        recommended_price=("recommended_price", "mean"),
        nights=("moves", "sum"),
        expected_gain=("expected_gain", "sum"),
    )
    found["change"] = found["recommended_price"] / found["current_price"] - 1
    return found.sort_values("expected_gain", ascending=False, kind="stable").reset_index()


def as_csv(rows: pd.DataFrame) -> bytes:
    """The rows for a spreadsheet, or for whoever sets the prices."""
    return rows.drop(columns=["title", "kind"]).to_csv(index=False).encode()
