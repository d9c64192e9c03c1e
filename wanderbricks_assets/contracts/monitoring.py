"""What became of the predictions: how good they were once what they spoke of had happened."""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table

REALIZED_ACCURACY = table(
    "realized_accuracy",
    "What past predictions said against what had happened by the end of a day, one row per day, model and metric.",
    C("day", "date", "last day whose events count", nullable=False),
    C("model", "string", nullable=False),
    C("metric", "string", "realized, not that of training: see docs/models.md", nullable=False),
    C("value", "float64", "percentage errors, shares and lifts as fractions; null while it cannot be computed"),
    C("lower", "float64", "lower end of the 90% interval"),
    C("upper", "float64", "upper end of the 90% interval"),
    C("at_training", "float64", "the same figure in the training of the version that served at the end of the day"),
    C("bound", "float64", "the model's target; null for a figure that only gives an early sign"),
    C(
        "units",
        "int64",
        "stay days, properties, views, nights or customers that it rests on",
        nullable=False,
        minimum=0,
    ),
    C("reason", "string", "why there is no value"),
    C("model_version", "string", "version that served at the end of the day; null without one"),
    key="day model metric",
    time_column="day",
)

MONITORING: dict[str, Contract] = {REALIZED_ACCURACY.name: REALIZED_ACCURACY}
