"""What people act on: whom to contact, which segment a customer is in, and what hosts did with recommended prices."""

from wanderbricks_assets.contracts.contract import Column as C
from wanderbricks_assets.contracts.contract import Contract, table
from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.contracts.rules import AUDIENCE_RULES, NEW

_DAY = C("prediction_date", "date", "last day whose data was known", nullable=False)

MARKETING_AUDIENCE = table(
    "marketing_audience",
    "Whom to target for which property and why: users who viewed it in the last 7 days, chosen by audience_rules. "
    "Exported without the holdout. Who agreed to be contacted is not known here: the sender must ask its own list.",
    _DAY,
    C("user_id", "int64", nullable=False),
    C("property_id", "int64", nullable=False),
    C("rank", "int64", "among the user's properties, by expected_value", nullable=False, minimum=1),
    C("conversion_probability", "float64", "of a booking within 7 days", nullable=False, minimum=0, maximum=1),
    C("probability_lower", "float64", "lower end of its 90% interval", minimum=0, maximum=1),
    C("probability_upper", "float64", "upper end of its 90% interval", minimum=0, maximum=1),
    C(
        "expected_value",
        "float64",
        "conversion_probability x base_price x typical_nights, before cancellations",
        "currency",
        nullable=False,
        minimum=0,
    ),
    C("base_price", "float64", "listed price on that day", "currency per night", minimum=0),
    C("typical_nights", "float64", "mean of the bookings of that destination in the last 365 days", "nights"),
    C("reasons", "string", "factors that speak for it, strongest first; null where none of the top factors does"),
    C("segment", "string", "of the user; New without any booking", nullable=False, allowed=(*SEGMENTS, NEW)),
    C("churn_risk", "string", "null for New", allowed=RISKS),
    C("predicted_ltv_12m", "float64", "null for New", "currency", minimum=0),
    C("country", "string", "home of the user"),
    C("user_type", "string", "individual or business"),
    C("destination", "string", "of the property"),
    C("channel", "string", "by the rule", nullable=False, allowed=AUDIENCE_RULES.column("channel").allowed),
    C("message", "string", "key of the text to send, by the rule", nullable=False),
    C("is_holdout", "boolean", "not to be contacted; always the same users", nullable=False),
    C("conversion_version", "string", "version of the model that gave the probability", nullable=False),
    C("ltv_version", "string", "version of the model that gave the segments", nullable=False),
    key="prediction_date user_id property_id",
    time_column="prediction_date",
)
CUSTOMER_SEGMENTS = table(
    "customer_segments",
    "The segment of each customer, since when, and what to do first. No list of whom to contact: it knows no holdout.",
    _DAY,
    C("user_id", "int64", nullable=False),
    C("segment", "string", nullable=False, allowed=SEGMENTS),
    C("segment_since", "date", "first day in this segment without a break, as far as was seen", nullable=False),
    C("previous_segment", "string", "the segment of the day before, on the day of a change", allowed=SEGMENTS),
    C("churn_risk", "string", nullable=False, allowed=RISKS),
    C("predicted_ltv_12m", "float64", "", "currency", nullable=False, minimum=0),
    C("recommended_action", "string", "the first of customer_actions", nullable=False),
    C("country", "string", "home of the customer"),
    C("user_type", "string", "individual or business"),
    C("ltv_version", "string", "version of the model that gave the segment", nullable=False),
    key="prediction_date user_id",
    time_column="prediction_date",
)
PRICE_DECISIONS = table(
    "price_decisions",
    "What hosts did with recommended prices, only ever appended to: the last decision on a recommendation stands.",
    C("decision_id", "string", nullable=False),
    C("property_id", "int64", nullable=False),
    C("target_date", "date", "night of the stay", nullable=False),
    C("prediction_date", "date", "of the recommendation", nullable=False),
    C("current_price", "float64", "at the recommendation", "currency per night", nullable=False, minimum=0),
    C("recommended_price", "float64", "", "currency per night", nullable=False, minimum=0),
    C("decision", "string", nullable=False, allowed=("accept", "reject")),
    C("decided_at", "timestamp", "moment it was recorded", nullable=False),
    C("decided_by", "string", "account that decided", nullable=False),
    C("note", "string"),
    key="decision_id",
    time_column="decided_at",
    append_only=True,
)

EXPORTED = (MARKETING_AUDIENCE, CUSTOMER_SEGMENTS)
ACTIVATION: dict[str, Contract] = {contract.name: contract for contract in (*EXPORTED, PRICE_DECISIONS)}
