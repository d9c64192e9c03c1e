"""What a customer will be worth in the next 12 months: the probability of booking again, times the value then."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.contracts.predictions import RISKS, SEGMENTS
from wanderbricks_assets.lazy import Columns, np, pd
from wanderbricks_assets.models.buy_till_you_die import expected_spend
from wanderbricks_assets.models.calendar import last_anchored
from wanderbricks_assets.models.customer_actions import read_actions
from wanderbricks_assets.models.customer_evaluation import deciles_and_lorenz, measured
from wanderbricks_assets.models.customer_features import (
    LINEAR,
    NUMBERS,
    READS,
    YEAR,
    check_history,
    customers,
    purchases,
    spend,
)
from wanderbricks_assets.models.frames import stacked
from wanderbricks_assets.models.linear_and_trees import LinearAndTrees
from wanderbricks_assets.models.model import CannotLearn, Evaluation, Model, Tables
from wanderbricks_assets.window import midnight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABEL = "value_12m"
FEWEST = 100  # customers who booked again, and who did not
TEST_STEP = timedelta(weeks=4)  # between the beginnings of test windows

SEGMENT_SHARES = (0.8, 0.5)  # High Value: the top 20% of the customers trained on; Medium Value: the next 30%
RISK_BOUNDS = (0.5, 0.8)  # churn risk is Medium where no booking is likelier than one, High from 80% on
COVERAGE = 0.8
BUCKETS = 10  # of predicted value, each with its own interval
HELD_OUT = 0.25  # share of the customers that the intervals are read from, before the parts are fitted on all

COMMON = 0.01  # countries of a smaller share of the customers are counted together


class CustomerLtv(Model):
    """The value of the bookings that a customer makes in the next 12 months and does not cancel.

    Customers are those with a booking at the cutoff. Two parts: the probability of such a booking, and its value given
    one (Gamma, for heavy tails) in units of the mean booking of the year before; each a linear model, which carries on
    to customers silent for longer than any in training, corrected by trees, which cannot. Who looks at properties is
    still a customer, so days with a page view count as much as bookings.
    """

    name: ClassVar[str] = "customer_ltv"
    reads: ClassVar[tuple[str, ...]] = READS
    # Who is a customer, and of how much, is known from all bookings.
    years: ClassVar[Mapping[str, int]] = {"page_views": 3}
    flavours: ClassVar[tuple[str, ...]] = ("xgboost",)
    limits: ClassVar[tuple[str, ...]] = (
        "Only customers with a booking are valued; of the others nothing is known.",
        "A single customer's value is mostly chance: use segments and sums, and the interval.",
    )

    @classmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """The customers of 12 months before the cutoff, as known then, and what they have been worth since."""
        check_history(tables, cutoff, cutoff - YEAR)
        frame = customers(tables, cutoff - YEAR).assign(**{LABEL: 0.0})
        frame[LABEL] = spend(tables, cutoff - YEAR, cutoff, frame["user_id"])
        returning = int((frame[LABEL] > 0).sum())
        if min(returning, len(frame) - returning) < FEWEST:
            raise CannotLearn(
                f"{returning:,} of {len(frame):,} customers booked again between {cutoff - YEAR:%Y-%m-%d} and "
                f"{cutoff:%Y-%m-%d}, and {FEWEST} are needed of those who did and of those who did not"
            )
        return frame.assign(origin=cutoff - YEAR)

    def fit(self, training: pd.DataFrame) -> Self:
        training = training.sort_values("user_id", ignore_index=True)
        share = training["country"].value_counts(normalize=True)
        self.countries = sorted(share.index[share >= COMMON])
        held_out = np.random.default_rng(self.seed).random(len(training)) < HELD_OUT
        self._fit_parts(training[~held_out])
        _, predicted = self.expected(training[held_out])
        self.edges, self.low, self.high = _buckets(predicted, training[LABEL][held_out].to_numpy())
        self._fit_parts(training)
        _, predicted = self.expected(training)
        self.segment_bounds = np.quantile(predicted, SEGMENT_SHARES).tolist()
        return self

    @classmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        """Every customer with a booking before the moment, one row each."""
        return customers(tables, moment)

    def predict_columns(self, inputs: Columns) -> dict[str, Sequence]:
        probability, predicted = self.expected(inputs)
        lower, upper = self.interval(predicted)
        segment = _graded(predicted, self.segment_bounds, SEGMENTS)
        risk = _graded(1 - probability, RISK_BOUNDS[::-1], RISKS[::-1])
        actions = read_actions()
        return {
            "user_id": np.asarray(inputs["user_id"]),
            "predicted_ltv_12m": predicted,
            "confidence_interval": np.column_stack([lower, upper]).tolist(),
            "ltv_segment": segment,
            "churn_risk": risk,
            "recommended_actions": [actions[case] for case in zip(segment.tolist(), risk.tolist(), strict=True)],
        }

    def expected(self, inputs: Columns) -> tuple[np.ndarray, np.ndarray]:
        """[rows] the probability of a booking that holds, and the expected value of all of them."""
        x = self.matrix(inputs)
        probability = self.booking.predict(x)
        return probability, probability * self.value.predict(x) * np.asarray(inputs["level"])

    def interval(self, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[rows] the ends of the 80% interval of the realized value: multiples of the prediction, by its bucket."""
        bucket = np.searchsorted(self.edges, predicted, side="right")
        return predicted * np.array(self.low)[bucket], predicted * np.array(self.high)[bucket]

    @classmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        """Train on what was known at a moment a year ago, and measure on the 12 months since."""
        moment = midnight(last_anchored((cutoff - YEAR).date(), TEST_STEP))
        check_history(tables, cutoff, moment - YEAR)
        model = cls(seed).fit(cls.training_set(tables, moment))
        test = customers(tables, moment)
        probability, predicted = model.expected(test)
        lower, upper = model.interval(predicted)
        rows = pd.DataFrame(
            {
                "user_id": test["user_id"],
                "country": test["country"],
                "origin": moment,
                "actual": spend(tables, moment, moment + YEAR, test["user_id"]),
                "predicted": predicted,
                "lower": lower,
                "upper": upper,
                "segment": _graded(predicted, model.segment_bounds, SEGMENTS),
                "churn_probability": 1 - probability,
                "baseline": test["spend_12m"],
                "bg_nbd": expected_spend(purchases(tables, moment, test["user_id"]), time=1.0),
            }
        )
        if (rows["actual"] > 0).sum() < FEWEST:
            raise CannotLearn(
                f"{(rows['actual'] > 0).sum():,} of {len(rows):,} customers booked again in the 12 months from "
                f"{moment:%Y-%m-%d}, and {FEWEST} are needed"
            )
        return measured(rows, COVERAGE, seed)

    @property
    def params(self) -> dict[str, object]:
        high, medium = self.segment_bounds
        return {
            "trees": LinearAndTrees.rounds,
            "high_value_from": high,
            "medium_value_from": medium,
            "medium_risk_from": RISK_BOUNDS[0],
            "high_risk_from": RISK_BOUNDS[1],
        }

    def save(self, folder: Path) -> None:
        names = ("seed", "countries", "segment_bounds", "edges", "low", "high")
        (folder / "customer_ltv.json").write_text(json.dumps({name: getattr(self, name) for name in names}, indent=2))
        for name in ("booking", "value"):
            (folder / name).mkdir()
            getattr(self, name).save(folder / name)

    @classmethod
    def load(cls, folder: Path) -> Self:
        model = cls()
        vars(model).update(json.loads((folder / "customer_ltv.json").read_text()))
        model.booking, model.value = (LinearAndTrees.load(folder / name) for name in ("booking", "value"))
        return model

    @classmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        return deciles_and_lorenz(evaluation)

    def _fit_parts(self, training: pd.DataFrame) -> None:
        x, value = self.matrix(training), (training[LABEL] / training["level"]).to_numpy()
        books, linear = value > 0, len(LINEAR)
        self.booking = LinearAndTrees.fit(x, books, linear, "binary:logistic", self.seed)
        self.value = LinearAndTrees.fit(x[books], value[books], linear, "reg:gamma", self.seed)

    def matrix(self, rows: Columns) -> np.ndarray:
        """[rows, columns] of float64, those of LINEAR first."""
        country = np.asarray(rows["country"], "object")
        return np.column_stack([stacked(rows, NUMBERS), *(country == name for name in self.countries)])


def _buckets(predicted: np.ndarray, value: np.ndarray) -> tuple[list[float], list[float], list[float]]:
    """Inner edges of the buckets of predicted value, and the ends of each one's interval, as multiples of it.

    Split conformal by bucket: quantiles of realized over predicted, of customers that were not fitted on. Where many
    spend nothing the interval begins at nothing and leaves out only the greatest values. It holds the prediction.
    """
    edges = np.quantile(predicted, np.arange(1, BUCKETS) / BUCKETS)
    bucket = np.searchsorted(edges, predicted, side="right")
    low, high = [], []
    for number in range(BUCKETS):
        here = bucket == number
        multiple = (value / predicted)[here if here.any() else slice(None)]  # ties may leave a bucket empty
        tail = (1 - COVERAGE) / 2
        tails = (0.0, 1 - COVERAGE) if (multiple == 0).mean() >= tail else (tail, tail)
        lower = 0.0 if tails[0] == 0 else np.quantile(multiple, tails[0], method="lower")
        low.append(min(float(lower), 1.0))
        high.append(max(float(np.quantile(multiple, 1 - tails[1], method="higher")), 1.0))
    return edges.tolist(), low, high


def _graded(value: np.ndarray, bounds: list[float] | tuple[float, ...], names: tuple[str, ...]) -> np.ndarray:
    """[rows] the name of the first bound that the value reaches, else the last name."""
    return np.select([value >= bound for bound in bounds], names[:-1], names[-1])
