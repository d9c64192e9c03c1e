"""The small tables that marketing edits: CSV files, one rule per row, under the home's `rules` folder."""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table
from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS

NEW, ANY = "New", "Any"

CUSTOMER_ACTIONS = table(
    "customer_actions",
    "What to do about a customer, the first action first. Every segment and churn risk needs one.",
    C("segment", "string", nullable=False, allowed=SEGMENTS),
    C("churn_risk", "string", nullable=False, allowed=RISKS),
    C("action", "string", "what to do", nullable=False),
    key="segment churn_risk action",
)
AUDIENCE_RULES = table(
    "audience_rules",
    "Whom to target for what they looked at. No two rows may cover the same customers; others are not targeted.",
    C("segment", "string", "New: no booking yet", nullable=False, allowed=(*SEGMENTS, NEW, ANY)),
    C("churn_risk", "string", "Any where the segment is New", nullable=False, allowed=(*RISKS, ANY)),
    C("min_probability", "float64", "least conversion_probability", nullable=False, minimum=0, maximum=1),
    C("min_expected_value", "float64", "least expected_value", "currency", nullable=False, minimum=0),
    C("max_properties", "int64", "of highest expected value, per user", nullable=False, minimum=1, maximum=10),
    C(
        "holdout_share",
        "float64",
        "users who are not contacted, so that what contact brings can be measured",
        nullable=False,
        minimum=0,
        maximum=0.5,
    ),
    C("channel", "string", nullable=False, allowed=("email", "push", "on_site")),
    C("message", "string", "key of the text to send", nullable=False),
    key="segment churn_risk",
)

RULES: dict[str, Contract] = {contract.name: contract for contract in (CUSTOMER_ACTIONS, AUDIENCE_RULES)}
