"""What a later 12 months say about the predicted customer values: the metric, figures beside it, and the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wanderbricks_assets.contracts.predictions import SEGMENTS
from wanderbricks_assets.lazy import np, pd
from wanderbricks_assets.models.bootstrap import bootstrap_interval
from wanderbricks_assets.models.frames import sliced
from wanderbricks_assets.models.model import Calibration, Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DECILES = 10
USER_GROUPS = 50  # the units in which versions are compared
COVERAGE_SLACK = 0.05  # an interval may miss this much of its coverage, and exceed it by twice as much: it holds the
# prediction even where most customers spend nothing, so it cannot be narrow everywhere


def measured(rows: pd.DataFrame, coverage: float, seed: int) -> Evaluation:
    """rows: user_id (ascending), country, origin, actual, predicted, lower, upper, segment, churn_probability, baseline
    (the spend of the last 12 months) and bg_nbd (the value by BG/NBD with Gamma-Gamma)."""
    from sklearn.metrics import roc_auc_score

    actual, predicted = rows["actual"].to_numpy(), rows["predicted"].to_numpy()
    ranked = rows.sort_values("predicted", kind="stable")  # sorted once, not for each sample
    ranks = ranked["actual"].to_numpy(), ranked["predicted"].to_numpy()
    metric = bootstrap_interval(lambda weight: decile_mape(*ranks, weight), ranked["user_id"].to_numpy(), seed)
    covered = float(rows["actual"].between(rows["lower"], rows["upper"]).mean())
    loss = 4 * (np.sqrt(actual) - np.sqrt(predicted)) ** 2 / np.sqrt(predicted)  # Tweedie deviance of power 1.5
    unit = rows["origin"].dt.strftime("%Y-%m-%d") + ", user group " + (rows["user_id"] % USER_GROUPS).astype(str)
    classical = rows["bg_nbd"].to_numpy()
    metrics = {
        "decile_mape_bg_nbd": decile_mape(actual, classical),
        **{
            f"gini_normalized{name}": gini(actual, rows[column].to_numpy()) / gini(actual, actual)
            for name, column in (("", "predicted"), ("_baseline", "baseline"), ("_bg_nbd", "bg_nbd"))
        },
        "total_bias": predicted.sum() / actual.sum() - 1,
        "total_bias_baseline": rows["baseline"].sum() / actual.sum() - 1,
        "total_bias_bg_nbd": classical.sum() / actual.sum() - 1,
        "churn_auc": roc_auc_score(actual == 0, rows["churn_probability"]),
        "churned_share": (actual == 0).mean(),
        "interval_coverage": covered,
        "tweedie_deviance": loss.mean(),
    }
    for segment in SEGMENTS:
        among = rows[rows["segment"] == segment]
        name = segment.split()[0].lower()
        metrics[f"segment_share_{name}"] = len(among) / len(rows)
        if len(among):
            metrics[f"interval_coverage_{name}"] = among["actual"].between(among["lower"], among["upper"]).mean()
        if among["actual"].sum() > 0:
            metrics[f"segment_mape_{name}"] = abs(among["predicted"].sum() / among["actual"].sum() - 1)
    return Evaluation(
        metric=metric,
        baseline=decile_mape(actual, rows["baseline"].to_numpy()),
        calibration=Calibration(
            holds=-COVERAGE_SLACK <= covered - coverage <= 2 * COVERAGE_SLACK,
            statement=f"the {coverage:.0%} intervals hold what {covered:.1%} of {len(rows):,} customers spent",
        ),
        rows=rows,
        losses=pd.Series(loss, index=pd.Index(unit, name="unit")).groupby(level=0).mean().rename("loss"),
        metrics={name: float(value) for name, value in metrics.items()},
        slices=slices(rows),
    )


def deciles(actual: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None) -> pd.DataFrame:
    """Mean actual and predicted value per tenth of the customers by predicted value, lowest first; ties in order."""
    weight = np.ones(len(actual)) if weight is None else weight
    order = np.argsort(predicted, kind="stable")
    weight = weight[order]
    middle = np.cumsum(weight) - weight / 2
    decile = np.minimum((middle * DECILES / weight.sum()).astype(int), DECILES - 1)
    count = np.bincount(decile, weight, DECILES)
    means = {
        name: np.bincount(decile, weight * values[order], DECILES) / count
        for name, values in (("actual", actual), ("predicted", predicted))
    }
    return pd.DataFrame(means)


def decile_mape(actual: np.ndarray, predicted: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean over the deciles of |mean predicted - mean actual| / mean actual (as Wang, Liu and Miao 2019 compare them);
    infinite where a decile spent nothing of which something was expected. One that was expected to spend nothing and
    did has no percentage error and is left out: only those who know who has left for ever have such deciles."""
    means = deciles(actual, predicted, weight)
    spent, expected = means["actual"].to_numpy(), means["predicted"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(spent > 0, np.abs(expected - spent) / spent, np.inf)
    is_defined = (spent > 0) | (expected > 0)
    return float(errors[is_defined].mean()) if is_defined.any() else np.inf


def slices(rows: pd.DataFrame) -> pd.DataFrame:
    """SLICE_COLUMNS, worst first: |predicted / spent - 1| of the total by country and segment; infinite where nothing
    was spent. A total, as the tenths of a small slice may have spent nothing."""

    def error(part: pd.DataFrame) -> float:
        spent = part["actual"].sum()
        return abs(part["predicted"].sum() / spent - 1) if spent > 0 else np.inf

    return sliced(rows, {"country": "country", "segment": "segment"}, error, "greatest")


def gini(actual: np.ndarray, score: np.ndarray) -> float:
    """Area between the Lorenz curve of the actual values, highest score first, and that of a random order."""
    share = np.cumsum(actual[np.argsort(-score, kind="stable")]) / actual.sum()
    return float(share.mean() - (len(actual) + 1) / (2 * len(actual)))


def deciles_and_lorenz(evaluation: Evaluation) -> Figure:
    """Left: predicted and realized value per decile. Right: how much of the revenue the first customers bring."""
    from matplotlib.figure import Figure

    rows = evaluation.rows
    actual = rows["actual"].to_numpy()
    means = deciles(actual, rows["predicted"].to_numpy())
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    at = np.arange(DECILES) + 1
    left.bar(at - 0.2, means["predicted"], width=0.4, label="predicted")
    left.bar(at + 0.2, means["actual"], width=0.4, label="realized")
    metric = evaluation.metric
    title = f"Error over deciles {metric.value:.1%} [{metric.lower:.1%}, {metric.upper:.1%}]"
    left.set(xlabel="decile of predicted value", ylabel="mean 12-month value", title=title, xticks=at)
    left.legend()
    customers = np.arange(len(rows)) / len(rows)
    scores = {
        "model": rows["predicted"],
        "BG/NBD": rows["bg_nbd"],
        "last year's spend": rows["baseline"],
        "perfect order": rows["actual"],
    }
    for name, score in scores.items():
        order = np.argsort(-score.to_numpy(), kind="stable")
        right.plot(customers, np.cumsum(actual[order]) / actual.sum(), label=name)
    right.set(xlabel="share of customers, best first", ylabel="share of the revenue", title="Ranking")
    right.legend()
    return figure
