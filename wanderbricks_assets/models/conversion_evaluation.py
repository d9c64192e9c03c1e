"""What the evaluated views say about the conversion predictor: the metric, the figures beside it, and the picture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from wanderbricks_assets.gold.as_known import bookings_made
from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.bootstrap import bootstrap_draws, bootstrap_interval
from wanderbricks_assets.models.classifiers import CLASSIFIERS, log_loss
from wanderbricks_assets.models.frames import sliced
from wanderbricks_assets.models.model import Calibration, Evaluation, Tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 10
LARGEST_ERROR = 0.01  # expected calibration error that the mission accepts
USER_GROUPS = 10  # per week: the units in which versions are compared
SLICES = {"device": "device_type", "country of the user": "home_country", "property type": "property_type"}
FEWEST_IN_SLICE = 30  # conversions, and other views: an AUC of fewer has a standard error above 0.05 (Hanley 1982)


def measured(rows: pd.DataFrame, seed: int) -> Evaluation:
    """rows: view_id, user_id, viewed_at, actual (0 or 1), predicted, lower, upper, baseline (a score), the
    probabilities of each candidate under its name, and the columns of SLICES."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    actual, predicted = rows["actual"].to_numpy(), rows["predicted"].to_numpy()
    auc = bootstrap_interval(weighted_auc(actual, predicted), rows["user_id"].to_numpy(), seed)
    bins = reliability(rows, seed)
    # The model states an interval for each probability: it holds where it meets that of the share that happened.
    met = int(((bins["stated_lower"] <= bins["upper"]) & (bins["lower"] <= bins["stated_upper"])).sum())
    exact = (bins["lower"] <= bins["predicted"]) & (bins["predicted"] <= bins["upper"])
    error = expected_calibration_error(bins)
    loss = log_loss(actual, predicted)
    metrics = {
        "pr_auc": average_precision_score(actual, predicted),
        "log_loss": loss.mean(),
        "log_loss_of_base_rate": log_loss(actual, np.full(len(actual), actual.mean())).mean(),
        "expected_calibration_error": error,
        "share_of_tenths_within_their_interval": exact.mean(),
        "base_rate": actual.mean(),
        "mean_predicted": predicted.mean(),
        "mean_interval_width": (rows["upper"] - rows["lower"]).mean(),
        "pr_auc_baseline": average_precision_score(actual, rows["baseline"]),
    }
    for kind in CLASSIFIERS:
        metrics[f"auc_roc_{kind}"] = roc_auc_score(actual, rows[kind])
        metrics[f"log_loss_{kind}"] = log_loss(actual, rows[kind].to_numpy()).mean()
    week = rows["viewed_at"].dt.to_period("W-SUN").dt.start_time.dt.strftime("%Y-%m-%d")
    unit = "week of " + week + ", user group " + (rows["user_id"] % USER_GROUPS).astype(str)
    return Evaluation(
        metric=auc,
        baseline=float(roc_auc_score(actual, rows["baseline"])),
        calibration=Calibration(
            holds=error < LARGEST_ERROR,
            statement=f"expected calibration error {error:.2%} at a rate of {actual.mean():.2%}, less than "
            f"{LARGEST_ERROR:.0%} is wanted; of {len(bins)} tenths of the views, the share that booked agrees with the "
            f"stated one in {int(exact.sum())}, and with the stated interval in {met}",
        ),
        rows=rows,
        losses=pd.Series(loss, index=pd.Index(unit, name="unit")).groupby(level=0).mean().rename("loss"),
        metrics={name: float(value) for name, value in metrics.items()},
        slices=slices(rows),
    )


def slices(rows: pd.DataFrame) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: the AUC-ROC by part of the market.

    Parts with fewer than FEWEST_IN_SLICE conversions or other views are left out: their AUC would be chance.
    """
    from sklearn.metrics import roc_auc_score

    def auc(part: pd.DataFrame) -> float:
        converted = int(part["actual"].sum())
        if min(converted, len(part) - converted) < FEWEST_IN_SLICE:
            return np.nan
        return roc_auc_score(part["actual"], part["predicted"])

    return sliced(rows, SLICES, auc, "least")


def weighted_auc(actual: np.ndarray, score: np.ndarray) -> Callable[[np.ndarray], float]:
    """The AUC-ROC as a function of [rows] weights: sorted once, where scikit-learn would sort for every sample.

    The weighted share of pairs of a converted and another view in which the converted has the higher score, ties half.
    """
    levels, level = np.unique(score, return_inverse=True)

    def auc(weight: np.ndarray) -> float:
        converted = np.bincount(level, weight * actual, len(levels))
        others = np.bincount(level, weight * (1 - actual), len(levels))
        below = np.cumsum(others) - others / 2
        return float((converted * below).sum() / (converted.sum() * others.sum()))

    return auc


def reliability(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One row per tenth of the views by predicted probability: views, the share that booked (`actual`) with its 90%
    interval by the bootstrap over users (lower, upper), and the mean stated probability with the ends of its own."""
    order = np.argsort(rows["predicted"].to_numpy(), kind="stable")
    tenth = np.empty(len(rows), dtype=int)
    tenth[order] = np.arange(len(rows)) * BINS // len(rows)
    actual = rows["actual"].to_numpy()

    def shares(weight: np.ndarray) -> np.ndarray:
        views = np.bincount(tenth, weight, BINS)
        return np.bincount(tenth, weight * actual, BINS) / np.where(views > 0, views, np.nan)

    lower, upper = np.nanquantile(bootstrap_draws(shares, rows["user_id"].to_numpy(), seed), [0.05, 0.95], axis=0)
    means = rows.groupby(tenth).agg(
        views=("actual", "size"),
        actual=("actual", "mean"),
        predicted=("predicted", "mean"),
        stated_lower=("lower", "mean"),
        stated_upper=("upper", "mean"),
    )
    return means.assign(lower=lower[means.index], upper=upper[means.index])


def expected_calibration_error(bins: pd.DataFrame) -> float:
    """Mean absolute difference of predicted and actual share over the bins, weighted by views (Naeini et al. 2015)."""
    return float(np.average((bins["predicted"] - bins["actual"]).abs(), weights=bins["views"]))


def past_conversion(tables: Tables, start: datetime, end: datetime, property_id: pd.Series) -> np.ndarray:
    """[rows] the naive score: bookings per view of the property in [start, end), and of all where it had no view. Both
    are midnights."""
    daily = tables["fact_property_engagement"]
    daily = daily.filter((daily.engagement_date >= start.date()) & (daily.engagement_date < end.date()))
    made = bookings_made(tables["fact_booking_history"], end)
    made = made.filter(made.created_at >= start)
    viewed = daily.group_by("property_id").agg(views=daily.view_count.sum()).to_pandas()
    booked = made.group_by("property_id").agg(bookings=made.count()).to_pandas()
    viewed, booked = viewed.set_index("property_id")["views"], booked.set_index("property_id")["bookings"]
    rate = booked.reindex(viewed.index).fillna(0) / viewed
    return property_id.map(rate).fillna(booked.sum() / viewed.sum()).to_numpy(float)


def reliability_and_roc(evaluation: Evaluation) -> Figure:
    """Left: what was stated against what happened. Right: the ROC curve, beside that of the baseline."""
    from matplotlib.figure import Figure
    from sklearn.metrics import roc_curve

    rows = evaluation.rows
    bins = reliability(rows)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    spread = np.abs(bins[["lower", "upper"]].to_numpy().T - bins["actual"].to_numpy())
    left.errorbar(bins["predicted"], bins["actual"], yerr=spread, fmt="o", label="tenths of the views, 90% interval")
    most = bins[["predicted", "upper"]].to_numpy().max()
    left.plot([0, most], [0, most], color="grey", linewidth=1)
    left.set(xlabel="stated probability", ylabel="share that booked within 7 days", title="Calibration")
    left.legend()
    for name, score in (("model", rows["predicted"]), ("property's past conversion rate", rows["baseline"])):
        right.plot(*roc_curve(rows["actual"], score)[:2], label=name)
    right.plot([0, 1], [0, 1], color="grey", linewidth=1)
    metric = evaluation.metric
    right.set(
        xlabel="share of the others above the score",
        ylabel="share of the converted above the score",
        title=f"AUC-ROC {metric.value:.3f} [{metric.lower:.3f}, {metric.upper:.3f}]",
    )
    right.legend()
    return figure
