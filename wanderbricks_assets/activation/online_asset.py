"""What predictions are made available as: the online view of the product API."""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING

import dagster as dg

from wanderbricks_assets.activation.online_view import said, write_view
from wanderbricks_assets.contracts import predictions as contracts
from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.dagster_face import DATA_TEAM
from wanderbricks_assets.models.conversion_features import READS, YEARS
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.predictions.assets import PREDICTED_BY
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.settings import settings
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets.window import Window

if TYPE_CHECKING:
    from wanderbricks_assets.models.conversion_online import Sides

ONLINE_VIEW = "online_view"
_DAYS = {"revenue_forecast": "ds", "demand_forecast": "ds", "price_recommendations": "target_date"}
_LOOKED_UP = tuple(contract for contract in PREDICTED_BY if contract != contracts.CONVERSION_SCORES)


@dg.asset(
    key=ONLINE_VIEW,
    group_name="activation",
    description="The newest predictions, and what is known of every listing and user, in one SQLite file that the "
    "product API looks up, so that no request computes a feature. It has no days: it always holds the newest.",
    owners=[DATA_TEAM],
    kinds={"sqlite"},
    deps=[*(contract.name for contract in PREDICTED_BY), *READS, "dim_destination"],
)
def online_view(lake: Lake, source: FilesSource, registry: ModelRegistry) -> dg.MaterializeResult:
    converts = registry.serving_version(TARGETS["conversion_predictor"]) is not None
    tables = view_tables(lake, source, converts)
    write_view(settings().online_view, tables)
    rows = {f"rows of {name}": len(rows) for name, rows in tables.items()}
    return dg.MaterializeResult(metadata={"file": str(settings().online_view), **rows})


def view_tables(lake: Lake, source: FilesSource, converts: bool) -> dict[str, list[tuple]]:
    """The rows of the view by table, from the newest predictions and features in the lake.

    converts: whether a conversion predictor serves. What only it needs to know takes ten times as long as the rest.
    """
    from wanderbricks_assets.models.conversion_online import sides

    about: dict[str, dict[str, object]] = {}
    found: dict[str, list[dict]] = {}
    for contract in _LOOKED_UP:
        found[contract.name] = rows = _newest(lake, contract)
        if rows:
            about[PREDICTED_BY[contract]] = _about(rows, _DAYS.get(contract.name))
    tables = {
        "revenue": _rows(found["revenue_forecast"], "ds", "yhat", "yhat_lower", "yhat_upper"),
        "demand": _rows(found["demand_forecast"], "property_id", "ds", "expected_bookings"),
        "destination_demand": _by_destination(found["demand_forecast"]),
        "price": _rows(
            found["price_recommendations"],
            *("property_id", "target_date", "current_price", "recommended_price"),
            *("expected_demand", "expected_revenue", "reason"),
        ),
        "customer": _rows(
            found["customer_value"],
            *("user_id", "predicted_ltv_12m", "confidence_interval", "ltv_segment", "churn_risk"),
            "recommended_actions",
        ),
        "destination": _rows(
            lake.read("dim_destination").to_pyarrow().to_pylist(), "destination_id", "destination", "country"
        ),
    }
    newest = lake.read("property_features").available_at.max().to_pyarrow().as_py()
    if newest is not None:
        about["features"] = {"moment": newest.isoformat(), "knows_visitors": converts}
        properties = lake.read("dim_property").select("property_id").distinct().to_pyarrow()["property_id"].to_pylist()
        tables["property"] = [(each, None) for each in properties]
        users = lake.read("dim_user").select("user_id").distinct().to_pyarrow()["user_id"].to_pylist()
        tables["user"] = [(each, None, None) for each in users]
        if converts:
            tables |= side_rows(sides(tables_until(READS, lake, source, newest, YEARS), newest), properties)
    return tables | {"about": [(name, said(value)) for name, value in about.items()]}


def _newest(lake: Lake, contract: Contract) -> list[dict]:
    """The rows of the newest day that has any."""
    day: date | None = lake.read(contract.name).prediction_date.max().to_pyarrow().as_py()
    return lake.read(contract.name, Window.of_days(day, day)).to_pyarrow().to_pylist() if day else []


def _about(rows: list[dict], days: str | None) -> dict[str, object]:
    first = rows[0]
    about = {"model_version": first["model_version"], "as_of": first["made_at"].isoformat()}
    if days:
        about |= {
            "first": min(row[days] for row in rows).isoformat(),
            "last": max(row[days] for row in rows).isoformat(),
        }
    return about


def _rows(rows: list[dict], *names: str) -> list[tuple]:
    return [tuple(_stored(row[name]) for name in names) for row in rows]


def _stored(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    return said(value) if isinstance(value, list) else value


def _by_destination(rows: list[dict]) -> list[tuple]:
    """Destination, day and the sum of what is expected of its properties."""
    sums: dict[tuple[int, str], float] = {}
    for row in rows:
        if row["destination_id"] is not None:
            key = (row["destination_id"], row["ds"].isoformat())
            sums[key] = sums.get(key, 0.0) + row["expected_bookings"]
    return [(*key, value) for key, value in sums.items()]


def side_rows(known: "Sides", properties: Iterable[int]) -> dict[str, list[tuple]]:
    """The rows of all these properties and of every user, with what the conversion predictor needs of each; a property
    that is not listed has none of it."""
    listings = {row["property_id"]: said(row) for row in known.listings.to_dict("records")}
    looks: dict[int, list[dict]] = {}
    frame = known.looks.assign(viewed_at=known.looks["viewed_at"].astype(str)).astype("object")
    for row in frame.to_dict("records"):
        looks.setdefault(row.pop("user_id"), []).append(row)
    visitors = known.visitors.assign(registered_at=known.visitors["registered_at"].astype(str)).to_dict("records")
    return {
        "property": [(each, listings.get(each)) for each in properties],
        "user": [(row["user_id"], said(row), said(looks.get(row["user_id"], []))) for row in visitors],
    }
