"""How likely a view of a property's page is to become a booking, and what speaks for and against it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

from wanderbricks_assets.lazy import Columns, Table, np, pd
from wanderbricks_assets.models.calendar import last_anchored
from wanderbricks_assets.models.classifiers import CLASSIFIERS, Calibrated, Classifier, log_loss, sigmoid
from wanderbricks_assets.models.conversion_evaluation import (
    SLICES,
    measured,
    past_conversion,
    reliability_and_roc,
)
from wanderbricks_assets.models.conversion_features import (
    CATEGORIES,
    COUNTS,
    FLAGS,
    KEYS,
    LABEL,
    LABEL_SPAN,
    LOOK_BACK,
    NUMBERS,
    RATIOS,
    READS,
    YEARS,
    believed_views,
    view_features,
    with_label,
)
from wanderbricks_assets.models.frames import codes, fixed_share, stacked
from wanderbricks_assets.models.model import CannotLearn, Evaluation, Model, Tables
from wanderbricks_assets.window import midnight

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TRAINING_SPAN = timedelta(weeks=12)  # 20 have an AUC 0.002 higher, a fifth of its interval, and cost 15% more
TRAINING_VIEWS = 100_000  # at most, by drawing users: more move the AUC by less than half its interval
FEWEST_CONVERSIONS = 100  # views that became bookings, in the training set and in the evaluated rows
TEST_SPAN = timedelta(weeks=6)
TEST_USERS = 0.3  # share of users that an evaluation keeps out of training
SCORED_SPAN = timedelta(days=7)  # views this old and younger are scored
LATER_FROM = 0.8  # the last fifth of the views, by which one candidate is chosen and calibrated
ENSEMBLE = 10  # members for the interval
QUARTER = 0.25  # share of the users that a member sees
RARE = 0.005  # categories of a smaller share of the views are counted together
NORMAL_90 = 1.645  # two-sided 90% quantile of the normal distribution
_RATIOS, _COUNTS = ([list(NUMBERS).index(name) for name in some] for some in (RATIOS, COUNTS))


class ConversionPredictor(Model):
    """The probability that a user books a property within 7 days of viewing its page.

    Logistic regression and gradient boosting are both fitted; boosting is kept where its log loss on later weeks is
    clearly lower, regression otherwise, with level and spread calibrated on these weeks. The interval comes from
    members fitted on a quarter of the users each, and from how far the two methods differ.
    """

    name: ClassVar[str] = "conversion_predictor"
    reads: ClassVar[tuple[str, ...]] = READS
    years: ClassVar[Mapping[str, int]] = YEARS
    flavours: ClassVar[tuple[str, ...]] = ("xgboost",)
    is_row_wise = True
    limits: ClassVar[tuple[str, ...]] = (
        "Visitors who are not signed in are not scored.",
        "Factors say what moves the model's probability, not what would change a visitor's mind.",
    )

    @classmethod
    def training_set(cls, tables: Tables, cutoff: datetime) -> pd.DataFrame:
        """One row per view of the last weeks whose label is known: KEYS, FEATURES and `converted`."""
        end = cutoff - LABEL_SPAN
        start = end - TRAINING_SPAN
        views = _sampled(tables, start, end, below=1.0)
        frame = view_features(views, tables, start, end)
        frame = with_label(frame, tables["fact_booking_history"], views, cutoff)
        _check_labels(frame, tables, (start, end), cutoff)
        return frame

    def fit(self, training: pd.DataFrame) -> Self:
        training = training.sort_values(["viewed_at", "view_id"], ignore_index=True)
        self.learn_columns(training)
        x, y, users = self.matrix(training), training[LABEL].to_numpy(), training["user_id"].to_numpy()
        when = training["viewed_at"]
        later = when.quantile(LATER_FROM)
        # A label looks LABEL_SPAN ahead: the later views must not begin before the labels of the earlier are known.
        early, late = (when < later - LABEL_SPAN).to_numpy(), (when >= later).to_numpy()
        for what, rows in (("fit", early), ("choose and calibrate", late)):
            if len(np.unique(y[rows])) < 2:
                raise CannotLearn(f"{rows.sum():,} views to {what} the models hold {y[rows].sum():,} conversions")
        fitted = {kind: classifier.fit(x[early], y[early], self.seed) for kind, classifier in CLASSIFIERS.items()}
        losses = {kind: log_loss(y[late], sigmoid(each.logit(x[late]))) for kind, each in fitted.items()}
        self.later_log_loss = {kind: float(loss.mean()) for kind, loss in losses.items()}
        self.candidates = {kind: Calibrated.on(classifier, x[late], y[late]) for kind, classifier in fitted.items()}
        kind = _better(losses, users[late])
        self.chosen = self.candidates[kind]
        self.members = self._ensemble(CLASSIFIERS[kind], (x, y, users), early, late)
        one, other = (candidate.logit(x[late]) for candidate in self.candidates.values())
        self.disagreement = float(((one - other) ** 2).mean())
        self.medians = training[list(NUMBERS)].median().to_dict()
        return self

    def learn_columns(self, training: pd.DataFrame) -> Self:
        """Learn only what `matrix` needs: the common levels of the categories."""
        self.levels = {name: _levels(training[name]) for name in CATEGORIES}
        self.columns = _columns(self.levels)
        return self

    @classmethod
    def inputs(cls, tables: Tables, moment: datetime) -> pd.DataFrame:
        """The latest view of every user and property in the last 7 days, unless the user has booked it since."""
        start = moment - SCORED_SPAN
        views = believed_views(tables["page_views"], start - LOOK_BACK, moment)
        frame = view_features(views, tables, start, moment)
        frame = frame.drop_duplicates(["user_id", "property_id"], keep="last", ignore_index=True)
        frame = with_label(frame, tables["fact_booking_history"], views, moment)
        return frame[frame[LABEL] == 0].drop(columns=LABEL).reset_index(drop=True)

    def predict_columns(self, inputs: Columns) -> dict[str, Sequence]:
        x = self.matrix(inputs)
        probability, lower, upper = self.probability(x)
        return {
            "property_id": np.asarray(inputs["property_id"]),
            "user_id": np.asarray(inputs["user_id"]),
            "conversion_probability": probability,
            "confidence_interval": np.column_stack([lower, upper]).tolist(),
            "top_factors": self._top_factors(inputs, self._impacts(x)[:, :-1]),
        }

    def probability(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """[rows] the probability and the ends of its 90% interval: how far other users would have moved it, and how far
        the method may be off. Of that, the squared disagreement of the two candidates tells twice the variance, were
        their errors equal and independent."""
        logit = self.chosen.logit(x)
        # The variance of a share q of the users is 1 / q of that of all, less what the share has in common with all.
        of_users = np.var([member.logit(x) for member in self.members], axis=0, ddof=1) / (1 / QUARTER - 1)
        spread = NORMAL_90 * np.sqrt(of_users + self.disagreement / 2)
        return sigmoid(logit), sigmoid(logit - spread), sigmoid(logit + spread)

    def impacts(self, x: np.ndarray) -> pd.DataFrame:
        """[rows, factors] what each factor adds to the probability, and `base`; a row sums to the probability.

        The factors' contributions to the log odds, brought to probability by one number per row: the slope of the line
        from the base to the probability.
        """
        return pd.DataFrame(self._impacts(x), columns=[*_of_factors(tuple(self.columns)), "base"])

    def _impacts(self, x: np.ndarray) -> np.ndarray:
        parts = self.chosen.slope * self.chosen.classifier.contributions(x)
        of_factors = _of_factors(tuple(self.columns)).values()
        first = [0, *accumulate(map(len, of_factors))][:-1]
        factors = np.add.reduceat(parts[:, list(chain.from_iterable(of_factors))], first, axis=1)
        base, total = parts[:, -1] + self.chosen.intercept, factors.sum(axis=1)
        start, end = sigmoid(base), sigmoid(base + total)
        slope = np.divide(end - start, total, out=start * (1 - start), where=np.abs(total) > 1e-9)
        return np.column_stack([factors * slope[:, None], start])

    @classmethod
    def evaluate(cls, tables: Tables, cutoff: datetime, seed: int = 0) -> Evaluation:
        """Fit on what was known TEST_SPAN earlier, without the test users; measure their views of the weeks since."""
        end = midnight(last_anchored((cutoff - LABEL_SPAN).date(), timedelta(weeks=1)))
        start = end - TEST_SPAN
        learned = start - LABEL_SPAN
        others = _sampled(tables, learned - TRAINING_SPAN, learned, below=1 - TEST_USERS)
        tested = believed_views(tables["page_views"], start - LOOK_BACK, end, 1 - TEST_USERS)
        views = others.union(tested)
        frame = view_features(views, tables, learned - TRAINING_SPAN, end)
        is_test = fixed_share(frame["user_id"]) >= 1 - TEST_USERS
        training = with_label(frame[~is_test].reset_index(drop=True), tables["fact_booking_history"], views, start)
        _check_labels(training, tables, (learned - TRAINING_SPAN, learned), start)
        model = cls(seed).fit(training)
        test = with_label(
            frame[is_test & (frame["viewed_at"] >= start)].reset_index(drop=True),
            tables["fact_booking_history"],
            views,
            cutoff,
        )
        _check_labels(test, tables, (start, end), cutoff)
        x = model.matrix(test)
        probability, lower, upper = model.probability(x)
        rows = test[[*KEYS, *SLICES.values()]].assign(
            actual=test[LABEL],
            predicted=probability,
            lower=lower,
            upper=upper,
            baseline=past_conversion(tables, start - TRAINING_SPAN, start, test["property_id"]),
            **{kind: sigmoid(each.logit(x)) for kind, each in model.candidates.items()},
        )
        return measured(rows, seed)

    @property
    def params(self) -> dict[str, object]:
        figures = {f"later_log_loss_{kind}": value for kind, value in self.later_log_loss.items()}
        calibration = {"calibration_slope": self.chosen.slope, "calibration_intercept": self.chosen.intercept}
        interval = {"members": len(self.members), "squared_disagreement": self.disagreement}
        return {"chosen": self.chosen.classifier.kind, **interval, **figures, **calibration}

    def save(self, folder: Path) -> None:
        saved = {
            "seed": self.seed,
            "kind": self.chosen.classifier.kind,
            "levels": self.levels,
            "medians": self.medians,
            "later_log_loss": self.later_log_loss,
            "disagreement": self.disagreement,
            "calibration": [[each.slope, each.intercept] for each in (self.chosen, *self.members)],
        }
        (folder / "conversion.json").write_text(json.dumps(saved, indent=2))
        for number, each in enumerate((self.chosen, *self.members)):
            place = folder / f"classifier_{number}"
            place.mkdir()
            each.classifier.save(place)

    @classmethod
    def load(cls, folder: Path) -> Self:
        saved = json.loads((folder / "conversion.json").read_text())
        model = cls(saved["seed"])
        model.levels, model.medians = saved["levels"], saved["medians"]
        model.later_log_loss, model.disagreement = saved["later_log_loss"], saved["disagreement"]
        model.columns = _columns(model.levels)
        kind = CLASSIFIERS[saved["kind"]]
        model.chosen, *model.members = (
            Calibrated(kind.load(folder / f"classifier_{number}"), *platt)
            for number, platt in enumerate(saved["calibration"])
        )
        model.candidates = {kind.kind: model.chosen}
        return model

    @classmethod
    def figure(cls, evaluation: Evaluation) -> Figure:
        return reliability_and_roc(evaluation)

    def matrix(self, rows: Columns) -> np.ndarray:
        """[rows, columns] of float64: numbers, flags, and one column per level of each category."""
        numbers = stacked(rows, [*NUMBERS, *FLAGS])
        numbers[:, _RATIOS] = np.log(np.maximum(numbers[:, _RATIOS], 1e-6))
        numbers[:, _COUNTS] = np.log1p(np.maximum(numbers[:, _COUNTS], 0))
        parts = [numbers]
        for name, known in self.levels.items():
            # The last level stands for all that are not known.
            level = codes(rows[name], known, len(known) - 1)
            parts.append(level[:, None] == np.arange(len(known)))
        return np.column_stack(parts)

    def _ensemble(
        self, kind: type[Classifier], data: tuple[np.ndarray, np.ndarray, np.ndarray], fit: np.ndarray, late: np.ndarray
    ) -> list[Calibrated]:
        """Members that saw a random QUARTER of the users each: the delete-d jackknife (Shao and Wu 1989, Annals of
        Statistics 17). `probability` brings their spread to that of all users; they cost a quarter of a bootstrap."""
        x, y, users = data
        known, user = np.unique(users, return_inverse=True)
        rng = np.random.default_rng(self.seed)
        members = []
        for number in range(ENSEMBLE):
            some = (rng.permutation(len(known)) < len(known) * QUARTER)[user]
            if min(np.unique(y[rows & some]).size for rows in (fit, late)) < 2:
                raise CannotLearn(f"a quarter of {len(known):,} users hold no conversion to learn an interval from")
            member = kind.fit(x[fit & some], y[fit & some], self.seed + number + 1)
            members.append(Calibrated.on(member, x[late & some], y[late & some]))
        return members

    def _top_factors(self, inputs: Columns, impact: np.ndarray, count: int = 3) -> list[list[dict[str, object]]]:
        most = np.argsort(-np.abs(impact), axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(impact, most, axis=1).tolist()
        names = self._spoken(inputs, most)
        return [
            [{"factor": factor, "impact": value} for factor, value in zip(*row, strict=True)]
            for row in zip(names, values, strict=True)
        ]

    def _spoken(self, inputs: Columns, factors: np.ndarray) -> list[list[str]]:
        """[rows, count] the plain names of the numbered factors: low_price, repeat_customer, mobile_device."""
        leading, words = _leading_and_words()
        value = stacked(inputs, leading)
        # Flags have no median: what is above 0 is up, which is called high here.
        median = np.array([self.medians.get(name, 0.0) for name in leading])
        kind = np.where(np.isnan(value), 2, value > median)
        spoken = len(leading)
        at = np.minimum(factors, spoken - 1)
        names = words[at, np.take_along_axis(kind, at, axis=1)].tolist()
        categories = {spoken + place: np.asarray(inputs[name]).tolist() for place, name in enumerate(CATEGORIES)}
        kinds = dict(zip(categories, CATEGORIES.values(), strict=True))
        for row, place in np.argwhere(factors >= spoken).tolist():
            factor = int(factors[row, place])
            names[row][place] = _plain(categories[factor][row], kinds[factor])
        return names


def _sampled(tables: Tables, start: datetime, end: datetime, below: float) -> Table:
    """The views that training rows of [start, end) are made from, of users whose share is less than `below`: fewer
    users where there are more than TRAINING_VIEWS."""
    views = tables["page_views"]
    among = (views.timestamp >= start - LOOK_BACK) & (views.timestamp < end) & (fixed_share(views.user_id) < below)
    count = views.filter(among).count().execute()
    return believed_views(views, start - LOOK_BACK, end, high=below * min(1.0, TRAINING_VIEWS / max(count, 1)))


def _check_labels(frame: pd.DataFrame, tables: Tables, span: tuple[datetime, datetime], cutoff: datetime) -> None:
    """Raise CannotLearn, saying what the data lacks, where the rows hold too few conversions."""
    when = "between {:%Y-%m-%d} and {:%Y-%m-%d}".format(*span)
    views = _reach(tables["page_views"], "timestamp", cutoff)
    if frame.empty:
        raise CannotLearn(f"page_views {views}: no view by a known user {when}")
    converted = int(frame[LABEL].sum())
    if converted < FEWEST_CONVERSIONS:
        raise CannotLearn(
            f"{converted:,} of {len(frame):,} page views {when} were followed by a booking of the same user and "
            f"property within {LABEL_SPAN.days} days, and {FEWEST_CONVERSIONS} are needed: page_views {views}, "
            f"bookings {_reach(tables['fact_booking_history'], 'created_at', cutoff)}"
        )


def _reach(table: Table, column: str, cutoff: datetime) -> str:
    before = table.filter(table[column] < cutoff)
    first, last = before.aggregate(first=before[column].min(), last=before[column].max()).to_pandas().iloc[0]
    return "is empty" if pd.isna(first) else f"run from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _better(losses: dict[str, np.ndarray], users: np.ndarray) -> str:
    """The first candidate, or one whose mean loss is lower by more than a standard error, that of sums over users: the
    one-standard-error rule (Breiman et al. 1984, section 3.4.3). The first is the simpler."""
    (best, first), *others = losses.items()
    user = np.unique(users, return_inverse=True)[1]
    for kind, loss in others:
        gain = first - loss
        error = np.sqrt((np.bincount(user, gain - gain.mean()) ** 2).sum()) / len(gain)
        best = kind if gain.mean() > error else best
    return best


def _levels(values: pd.Series) -> list[str]:
    """The levels of a category that are common enough to learn from, and "other" for the rest."""
    share = values.value_counts(normalize=True)
    return [*sorted(share.index[(share >= RARE) & (share.index != "other")]), "other"]


def _columns(levels: dict[str, list[str]]) -> list[str]:
    return [*NUMBERS, *FLAGS, *(f"{name}={level}" for name, known in levels.items() for level in known)]


@lru_cache(maxsize=8)
def _of_factors(columns: tuple[str, ...]) -> dict[str, list[int]]:
    """The columns of the matrix that each factor has."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(columns):
        found.setdefault(_factor(name), []).append(at)
    return found


@lru_cache(maxsize=1)
def _leading_and_words() -> tuple[list[str], np.ndarray]:
    """([factors] the column, [factors, 3] the names when low, high and missing) of the factors that are no categories,
    in their order."""
    leading: dict[str, str] = {}
    for name, factor in NUMBERS.items():
        leading.setdefault(factor, name)
    words = [[f"{kind}_{factor}" for kind in ("low", "high", "no")] for factor in leading]
    words += [[down, up, down] for up, down in FLAGS.values()]
    return [*leading.values(), *FLAGS], np.array(words, object)


@lru_cache(maxsize=1000)
def _plain(value: object, kind: str) -> str:
    return re.sub(r"\W+", "_", f"{value}_{kind}".lower())


def _factor(column: str) -> str:
    """The factor that a column of the matrix belongs to."""
    return NUMBERS.get(column, column.partition("=")[0])
