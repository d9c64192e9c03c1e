"""The five targets of the mission. Checks, promotion and the scoreboard read them here; models are found by them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is asked of a model: a bound that its metric must keep to before it may serve, on the cautious end of its
    interval.

    `model` names its module in `models/`, `table` the contract of its predictions, `owner` who is told of failures, and
    `title` is what people call it. `stage` and `release` are the stage that a passing version goes to in the registry,
    and the release it is part of.
    """

    model: str
    title: str
    owner: str
    table: str
    metric: str
    direction: Literal["below", "above"]
    bound: float
    stage: Literal["Production", "Staging"]
    release: str
    experiment: str

    @property
    def registered_name(self) -> str:
        return f"wanderbricks_{self.model}"

    def keeps(self, value: float) -> bool:
        return value < self.bound if self.direction == "below" else value > self.bound

    def better(self, one: float, other: float) -> bool:
        return one < other if self.direction == "below" else one > other

    @property
    def sign(self) -> str:
        return "<" if self.direction == "below" else ">"


TARGETS: dict[str, Target] = {
    target.model: target
    for target in (
        Target(
            model="revenue_forecaster",
            title="Revenue forecast",
            owner="team:revenue",
            table="revenue_forecast",
            metric="mape",
            direction="below",
            bound=0.15,
            stage="Production",
            release="1.0",
            experiment="/Wanderbricks/Revenue_Forecaster",
        ),
        Target(
            model="demand_predictor",
            title="Demand forecast",
            owner="team:revenue",
            table="demand_forecast",
            metric="rmse",
            direction="below",
            bound=3.0,
            stage="Production",
            release="1.0",
            experiment="/Wanderbricks/Demand_Predictor",
        ),
        Target(
            model="conversion_predictor",
            title="Conversion",
            owner="team:marketing",
            table="conversion_scores",
            metric="auc_roc",
            direction="above",
            bound=0.75,
            stage="Staging",
            release="0.9",
            experiment="/Wanderbricks/Conversion_Predictor",
        ),
        Target(
            model="pricing_optimizer",
            title="Prices",
            owner="team:revenue",
            table="price_recommendations",
            metric="revenue_lift",
            direction="above",
            bound=0.05,
            stage="Staging",
            release="0.9",
            experiment="/Wanderbricks/Pricing_Optimizer",
        ),
        Target(
            model="customer_ltv",
            title="Customer value",
            owner="team:customer",
            table="customer_value",
            metric="decile_mape",
            direction="below",
            bound=0.20,
            stage="Staging",
            release="0.9",
            experiment="/Wanderbricks/Customer_LTV",
        ),
    )
}

# The serving endpoint that answers for all five: the local service's, and that of a Databricks workspace.
ENDPOINT = "wanderbricks-predictions"
# Where calls of the endpoint itself go: its models answer different questions, so all of the traffic is one's.
DEFAULT = TARGETS["revenue_forecaster"]
