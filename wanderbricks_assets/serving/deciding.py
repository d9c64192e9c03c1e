"""Recording what a host decides about a recommended price: the one thing that the service writes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from wanderbricks_assets.activation.decisions import CannotDecide, Decision, NoSuchRecommendation, record_decisions
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.serving.errors import conflict, unknown
from wanderbricks_assets.serving.predicting import Predicting
from wanderbricks_assets.serving.product import only_known_parameters


class Decided(BaseModel):
    """What was decided, by whom, and of which day's recommendation (without `prediction_date`, of the newest)."""

    decision: Literal["accept", "reject"]
    decided_by: str = Field(min_length=1, max_length=200, pattern=r"\S")
    note: str | None = Field(None, max_length=2000)
    prediction_date: date | None = None


class Recorded(BaseModel):
    """The decision as it is recorded. A later one on the same recommendation supersedes it."""

    decision_id: str
    property_id: int
    target_date: date
    prediction_date: date
    current_price: float
    recommended_price: float
    decision: Literal["accept", "reject"]
    decided_at: datetime = Field(description="UTC")
    decided_by: str
    note: str | None


def decision_routes(lake: Lake, predicting: Predicting) -> APIRouter:
    """`POST /v1/prices/{property_id}/{target_date}/decisions`."""
    router = APIRouter(prefix="/v1", tags=["product"], dependencies=[Depends(only_known_parameters)])

    @router.post("/prices/{property_id}/{target_date}/decisions", status_code=201)
    async def decide(property_id: Annotated[int, Path(ge=0, lt=2**63)], target_date: date, said: Decided) -> Recorded:
        """Record that the recommended price of a night is accepted or rejected. The next recommendation begins from
        what was accepted."""
        decision = Decision(property_id, target_date, said.decision, said.note, said.prediction_date)
        return Recorded(**await predicting.run(_record, lake, decision, said.decided_by))

    return router


def _record(lake: Lake, decision: Decision, decided_by: str) -> dict[str, Any]:
    try:
        return record_decisions(lake, [decision], decided_by, datetime.now(UTC).replace(tzinfo=None))[0]
    except NoSuchRecommendation as error:
        raise unknown(str(error)) from error
    except CannotDecide as error:
        raise conflict(str(error)) from error
