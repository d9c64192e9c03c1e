"""The product API: what the models say, by property, destination, user and day, from the online view.

Money is in the marketplace's currency; dates are days of UTC.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, Field, NaiveDatetime

from wanderbricks_assets.activation.online_view import OnlineView, Snapshot
from wanderbricks_assets.serving.errors import ApiError, bad_request, misspelt, unavailable, unknown
from wanderbricks_assets.serving.predicting import Predicting
from wanderbricks_assets.serving.served_models import ServedModels
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets.window import naive_utc

Id = Annotated[int, Path(ge=0, lt=2**63)]  # what SQLite and the marketplace's tables can hold
Start = Annotated[date | None, Query(description="first day; by default the first that is known of")]
End = Annotated[date | None, Query(description="last day, included; by default the last that is known of")]
_PARAMETERS = ("user_id", "property_id", "destination_id", "target_date")
_NEWEST = "no predictions have been made yet; the pipeline makes them each day"


class Signed(BaseModel):
    """Who says so, and from what was known when."""

    model: str
    model_version: str
    as_of: AwareDatetime = Field(description="all that was known before this moment, UTC, went into the answer")


class RevenueDay(BaseModel):
    ds: date = Field(description="check-in date")
    yhat: float = Field(description="expected revenue")
    yhat_lower: float = Field(description="lower end of the 80% interval")
    yhat_upper: float = Field(description="upper end of the 80% interval")


class RevenueForecast(Signed):
    days: list[RevenueDay]
    total: float = Field(description="sum of yhat")


class DemandDay(BaseModel):
    ds: date = Field(description="check-in date")
    expected_bookings: float


class DemandForecast(Signed):
    days: list[DemandDay]
    total: float = Field(description="sum of expected_bookings")


class PropertyDemand(DemandForecast):
    property_id: int


class DestinationDemand(DemandForecast):
    destination_id: int
    destination: str


class Factor(BaseModel):
    factor: str = Field(examples=["low_price"])
    impact: float = Field(description="its share of the probability, signed")


class Conversion(Signed):
    property_id: int
    user_id: int
    conversion_probability: float = Field(description="that a view now becomes a booking within 7 days", ge=0, le=1)
    confidence_interval: list[float] = Field(description="lower and upper end of the 90% interval", min_length=2)
    top_factors: list[Factor] = Field(description="the three that move the probability most")


class PriceRecommendation(Signed):
    property_id: int
    target_date: date
    current_price: float
    recommended_price: float
    expected_demand: float = Field(description="bookings at the recommended price")
    expected_revenue: float = Field(description="at the recommended price")
    reason: str


class CustomerValue(Signed):
    user_id: int
    predicted_ltv_12m: float = Field(description="value of the bookings of the next 12 months")
    confidence_interval: list[float] = Field(description="lower and upper end of the 80% interval", min_length=2)
    ltv_segment: str
    churn_risk: Literal["Low", "Medium", "High"]
    recommended_actions: list[str]


async def only_known_parameters(request: Request) -> None:
    """Raises ApiError (422): a misspelt parameter would be left out, and another question answered."""
    known = [parameter.alias for parameter in request.scope["route"].dependant.query_params]
    unknown = sorted(set(request.query_params) - set(known))
    if unknown:
        raise misspelt(f"There is no parameter {', '.join(unknown)}; this path knows {', '.join(known) or 'none'}.")


def product_routes(models: ServedModels, view: OnlineView, predicting: Predicting) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["product"], dependencies=[Depends(only_known_parameters)])

    async def newest(name: str, request: Request) -> tuple[Snapshot, dict[str, Any], dict[str, Any]]:
        """The view, what it says about a model's predictions, and the signature of an answer. Raises ApiError (404)
        with the reason where no version may serve."""
        target = TARGETS[name]
        request.state.model = target.registered_name
        await models.ready()
        models.champion(target)
        snapshot = _snapshot(view)
        about = snapshot.about(name)
        if about is None:
            raise unknown(f"{target.registered_name}: {_NEWEST}.")
        signed = {
            "model": target.registered_name,
            "model_version": about["model_version"],
            "as_of": _utc(about["as_of"]),
        }
        return snapshot, about, signed

    @router.get("/revenue")
    async def revenue(request: Request, start_date: Start = None, end_date: End = None) -> RevenueForecast:
        """Revenue of the marketplace for each check-in date of a range, at most 90 days ahead, with 80% intervals."""
        snapshot, about, signed = await newest("revenue_forecaster", request)
        days = [RevenueDay(**day) for day in snapshot.days("revenue", *_span(about, start_date, end_date))]
        return RevenueForecast(days=days, total=math.fsum(day.yhat for day in days), **signed)

    @router.get("/demand/properties/{property_id}")
    async def property_demand(
        request: Request, property_id: Id, start_date: Start = None, end_date: End = None
    ) -> PropertyDemand:
        """Expected bookings of a property for each check-in date of a range, at most 30 days ahead."""
        snapshot, about, signed = await newest("demand_predictor", request)
        rows = snapshot.days("demand", *_span(about, start_date, end_date), property_id=property_id)
        if not rows:
            raise _no_property(snapshot, property_id, signed["as_of"])
        return PropertyDemand(property_id=property_id, **_demand(rows), **signed)

    @router.get("/demand/destinations/{destination_id}")
    async def destination_demand(
        request: Request, destination_id: Id, start_date: Start = None, end_date: End = None
    ) -> DestinationDemand:
        """The same of all properties of a destination: each day is the sum of theirs."""
        snapshot, about, signed = await newest("demand_predictor", request)
        place = snapshot.one("destination", destination_id=destination_id)
        if place is None:
            raise unknown(f"There is no destination {destination_id}.")
        rows = snapshot.days("destination_demand", *_span(about, start_date, end_date), destination_id=destination_id)
        if not rows:
            raise unknown(f"No property of destination {destination_id} was listed as of {_said(signed['as_of'])}.")
        return DestinationDemand(
            destination_id=destination_id, destination=place["destination"], **_demand(rows), **signed
        )

    @router.get("/prices/{property_id}/{target_date}")
    async def price(request: Request, property_id: Id, target_date: date) -> PriceRecommendation:
        """The price of highest expected revenue for a night, at most 30 ahead, and why."""
        snapshot, about, signed = await newest("pricing_optimizer", request)
        _span(about, target_date, target_date)
        row = snapshot.one("price", property_id=property_id, target_date=target_date.isoformat())
        if row is None:
            raise _no_property(snapshot, property_id, signed["as_of"])
        return PriceRecommendation(**row, **signed)

    @router.get("/customers/{user_id}")
    async def customer(request: Request, user_id: Id) -> CustomerValue:
        """What a customer will spend in the next 12 months, with segment, churn risk and what to do."""
        snapshot, _, signed = await newest("customer_ltv", request)
        row = snapshot.one("customer", user_id=user_id)
        if row is None:
            _known_user(snapshot, user_id)
            raise unknown(
                f"User {user_id} had made no booking as of {_said(signed['as_of'])}; only customers are valued."
            )
        return CustomerValue(**row, **signed)

    @router.get("/conversion/{user_id}/{property_id}")
    async def conversion(
        request: Request,
        user_id: Id,
        property_id: Id,
        viewed_at: Annotated[
            NaiveDatetime | AwareDatetime | None,
            Query(description="time of the view, UTC, on the day that begins at as_of; its begin by default"),
        ] = None,
        device_type: Annotated[str | None, Query(max_length=50, examples=["mobile"])] = None,
        referrer: Annotated[str | None, Query(max_length=200, examples=["direct"])] = None,
    ) -> Conversion:
        """How likely the user is to book the property within 7 days of viewing it now, and what speaks for and against.

        Device and referrer are those of the user's last view where not given.
        """
        target = TARGETS["conversion_predictor"]
        request.state.model = target.registered_name
        await models.ready()
        champion, snapshot = models.champion(target), _snapshot(view)
        about = snapshot.about("features")
        if about is None:
            raise unknown(f"{target.registered_name}: {_NEWEST}.")
        if not about.get("knows_visitors"):  # also one that an older release wrote
            raise unavailable("The online view is older than the first promotion; materialize the asset online_view.")
        moment = datetime.fromisoformat(about["moment"])
        at = naive_utc(viewed_at) if viewed_at else moment
        if not moment <= at < moment + timedelta(days=1):
            raise bad_request(f"viewed_at must lie within the day that begins at {moment}; features are of then.")
        listing = (snapshot.one("property", property_id=property_id) or {}).get("listing")
        if listing is None:
            raise _no_property(snapshot, property_id, _utc(about["moment"]))
        user = _known_user(snapshot, user_id)
        looks = user["looks"]
        last = looks[-1] if looks else {"device_type": "unknown", "referrer": "unknown"}
        context = {
            "viewed_at": at,
            "device_type": device_type or last["device_type"],
            "referrer": referrer or last["referrer"],
        }
        row = await predicting.run(_converts, champion.model, listing, user["visitor"], looks, context)
        return Conversion(
            model=target.registered_name, model_version=champion.version, as_of=_utc(about["moment"]), **row
        )

    return router


def _demand(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """`days` and `total` of a DemandForecast."""
    days = [DemandDay(**row) for row in rows]
    return {"days": days, "total": math.fsum(day.expected_bookings for day in days)}


def examples(view: OnlineView) -> dict[str, Any]:
    """Values of the parameters that some answer is known for, so that the examples of the documentation run."""
    snapshot = view.snapshot()
    if snapshot is None:
        return {}
    found: dict[str, Any] = {}
    for table in ("user", "customer", "property", "demand", "destination", "destination_demand", "price"):
        row = snapshot.first(table) or {}
        found |= {name: row[name] for name in _PARAMETERS if name in row}
    horizon = snapshot.about("demand_predictor") or snapshot.about("revenue_forecaster")
    if horizon:
        found |= {"start_date": horizon["first"], "end_date": horizon["last"]}
    return found


def _converts(model, listing: dict, visitor: dict, looks: list[dict], context: dict) -> dict[str, Any]:
    from wanderbricks_assets.models.conversion_online import pair_row

    row = model.predict_columns(pair_row(listing, visitor, looks, **context))
    return {name: value[0] for name, value in row.items()}


def _snapshot(view: OnlineView) -> Snapshot:
    snapshot = view.snapshot()
    if snapshot is None:
        raise unavailable("The online view has not been made yet; materialize the asset online_view.")
    return snapshot


def _span(about: dict[str, Any], start: date | None, end: date | None) -> tuple[date, date]:
    first, last = date.fromisoformat(about["first"]), date.fromisoformat(about["last"])
    start, end = start or first, end or last
    if not first <= start <= end <= last:
        raise bad_request(f"From {start} to {end}: what is known covers {first} to {last}.")
    return start, end


def _no_property(snapshot: Snapshot, property_id: int, as_of: datetime) -> ApiError:
    if snapshot.one("property", property_id=property_id) is None:
        return unknown(f"There is no property {property_id}.")
    return unknown(f"Property {property_id} was not listed as of {_said(as_of)}.")


def _known_user(snapshot: Snapshot, user_id: int) -> dict[str, Any]:
    user = snapshot.one("user", user_id=user_id)
    if user is None:
        raise unknown(f"There is no user {user_id}.")
    return user


def _utc(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def _said(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
