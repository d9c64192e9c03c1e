"""The one shape of the five models. No model file imports Dagster: train one in a notebook like this:

tables = {name: lake.read(name) for name in RevenueForecaster.reads}
evaluation = RevenueForecaster.evaluate(tables, cutoff)
model = RevenueForecaster(seed=0).fit(RevenueForecaster.training_set(tables, cutoff))
forecast = model.predict(RevenueForecaster.inputs(tables, cutoff))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.lazy import Columns, NestedColumns, Table, pd
from wanderbricks_assets.targets import TARGETS, Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tables = Mapping[str, Table]
"""Whole tables by name. A model must cut each at its own moment: rows with a later time may be anything."""


class CannotLearn(Exception):
    """The data cannot support the model. The message is a sentence that says what is lacking; the check shows it."""


@dataclass(frozen=True)
class Interval:
    """A value and the ends of its 90% confidence interval."""

    value: float
    lower: float
    upper: float

    def cautious(self, target: Target) -> float:
        """The end that is worse for the target: what a gate looks at."""
        return self.upper if target.direction == "below" else self.lower


@dataclass(frozen=True)
class Calibration:
    """Whether the model's own statements of uncertainty hold on the evaluated rows, and the sentence that says so."""

    holds: bool
    statement: str


SLICE_COLUMNS = ["slice", "value", "rows", "metric"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How good the method is on rows later than what it was fitted on.

    metric: the target's metric. baseline: the naive baseline's value of the same metric on the same rows.
    metrics: everything else worth showing, by name; percentage errors and shares as fractions.
    losses: one loss (smaller is better) per evaluation unit, indexed by a name of the unit that another version
        evaluated on the same data would give too (an origin, an origin and property): what champion and challenger are
        paired on.
    slices: where it is good and where not, worst first: slice, value, rows, metric.
    """

    metric: Interval
    baseline: float
    calibration: Calibration
    losses: pd.Series
    metrics: dict[str, float] = field(default_factory=dict)
    slices: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=SLICE_COLUMNS))


@dataclass(frozen=True, kw_only=True)
class Evaluation(Scores):
    """The scores with the rows they come from: the evaluated predictions, with what identifies each, `actual` and
    `predicted`."""

    rows: pd.DataFrame


class Model(ABC):
    """A model. Class methods turn tables into frames; instances hold what was fitted.

    `reads` names the tables it needs; `flavours` the libraries a saved version is loaded with; `limits` are sentences
    for its card: what it must not be used for or trusted with. `years`: how far back it reads tables, by name, for what
    it costs must not grow with all that ever was; the others it reads whole. `is_row_wise`: `predict` gives each row
    what it would give that row alone, so rows may be predicted in batches, anywhere.
    """

    name: ClassVar[str]
    limits: ClassVar[tuple[str, ...]]
    reads: ClassVar[tuple[str, ...]]
    flavours: ClassVar[tuple[str, ...]]
    years: ClassVar[Mapping[str, int]] = {}
    is_row_wise: ClassVar[bool] = False

    def __init__(self, seed: int = 0):
        self.seed = seed

    @classmethod
    def target(cls) -> Target:
        return TARGETS[cls.name]

    @classmethod
    @abstractmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """Features and labels that were known before `cutoff`; CannotLearn when they cannot support the model."""

    @abstractmethod
    def fit(self, training: pd.DataFrame) -> Self:
        """Fit on such a frame and return self. Same frame, same seed: the same model, bit for bit."""

    @classmethod
    @abstractmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        """What `predict` needs to predict from `moment` on, made by the same functions as the training features."""

    @abstractmethod
    def predict_columns(self, inputs: Columns) -> NestedColumns:
        """The model's columns of its predictions table, each of one value per row to predict. On arrays: for one row, a
        frame costs more than the prediction."""

    def predict(self, inputs: pd.DataFrame) -> pd.DataFrame:
        """What `predict_columns` says, as a frame."""
        return pd.DataFrame(self.predict_columns(inputs))

    @classmethod
    @abstractmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        """Evaluate the method by the definition in docs/models.md, using nothing later than `cutoff`."""

    @property
    @abstractmethod
    def params(self) -> dict[str, object]:
        """What was chosen before or during fitting, for the record."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write native model files and JSON; nothing pickled."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Predictions are the same to the last bit."""

    @classmethod
    @abstractmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        """The picture of the evaluation that a person would rather look at."""
