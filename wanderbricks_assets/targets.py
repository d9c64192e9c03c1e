"""The five targets of the mission, one row each. Checks, promotion and the scoreboard read them here only."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Target:
    """A bound that a model's metric must keep to before the model may serve, on the cautious end of its interval.

    `stage` and `release` are the stage that a passing version goes to in the registry, and the release it is part of.
    """

    model: str
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
        Target("revenue_forecaster", "mape", "below", 0.15, "Production", "1.0", "/Wanderbricks/Revenue_Forecaster"),
        Target("demand_predictor", "rmse", "below", 3.0, "Production", "1.0", "/Wanderbricks/Demand_Predictor"),
        Target(
            "conversion_predictor", "auc_roc", "above", 0.75, "Staging", "0.9", "/Wanderbricks/Conversion_Predictor"
        ),
        Target("pricing_optimizer", "revenue_lift", "above", 0.05, "Staging", "0.9", "/Wanderbricks/Pricing_Optimizer"),
        Target("customer_ltv", "decile_mape", "below", 0.20, "Staging", "0.9", "/Wanderbricks/Customer_LTV"),
    )
}

# The serving endpoint that answers for all five: the local service's, and that of a Databricks workspace.
ENDPOINT = "wanderbricks-predictions"
# Where calls of the endpoint itself go: its models answer different questions, so all of the traffic is one's.
DEFAULT = TARGETS["revenue_forecaster"]
