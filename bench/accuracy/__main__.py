"""One table of the five models over homes: the model, naive, a strong public method, and the floor where there is one.

python -m bench.accuracy --home HOME0 --home HOME1 --home RESORT [--model customer_ltv] > table.md

A home is what `wanderbricks run --source SOURCE --home HOME` has finished; its tables are read and nothing is written.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from bench.accuracy.homes import opened
from bench.accuracy.rivals import RIVALS
from wanderbricks_assets.floors import expected_customer_value, floor
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.customer_evaluation import gini
from wanderbricks_assets.models.model import CannotLearn, Evaluation
from wanderbricks_assets.resources.tables import tables_until

HEADINGS = ("model", "home", "value [90% interval]", "target", "naive", "public", "floor", "value / floor")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, action="append", required=True, help="a finished home; may be repeated")
    parser.add_argument("--model", action="append", choices=MODELS, help="only these; may be repeated")
    arguments = parser.parse_args()
    print(_line(HEADINGS), _line(["---"] * len(HEADINGS)), sep="\n", flush=True)  # noqa: T201
    for model in arguments.model or MODELS:
        for home in arguments.home:
            for row in _measured(model, home):
                print(_line(row), flush=True)  # noqa: T201


def _measured(name: str, home: Path) -> Iterator[list[str]]:
    """The row of a model in a home; the reason where the data cannot support the model."""
    model, (lake, source, cutoff) = MODELS[name], opened(home)
    tables = tables_until(model.reads, lake, source, cutoff)
    try:
        evaluation = model.evaluate(tables, cutoff)
    except CannotLearn as reason:
        yield [name, home.name, f"cannot learn: {reason}", *[""] * (len(HEADINGS) - 3)]
        return
    rival, measure = RIVALS[name]
    best, target, metric = floor(name, evaluation.rows, lake, source), model.target(), evaluation.metric
    yield [
        name,
        home.name,
        f"{metric.value:.4g} [{metric.lower:.4g}, {metric.upper:.4g}]",
        f"{target.sign} {target.bound:g}",
        f"{evaluation.baseline:.4g}",
        f"{measure(tables, cutoff, evaluation):.4g} ({rival})",
        "" if best is None else f"{best:.4g}",
        "" if best is None else f"{metric.value / best:.2f}",
    ]
    if name == "revenue_forecaster":  # what it corrects: the least that the correction must be worth
        alone = evaluation.metrics["pickup_mape"]
        yield [f"{name}, pick-up alone", home.name, f"{alone:.4g}", *[""] * (len(HEADINGS) - 3)]
    if name == "customer_ltv":
        yield _ranking(home, evaluation, None if best is None else Path(source.folder))


def _ranking(home: Path, evaluation: Evaluation, truth: Path | None) -> list[str]:
    """The normalized Gini of the customers' order; of the true expected values where they are known."""
    own, naive, rival = (evaluation.metrics[f"gini_normalized{of}"] for of in ("", "_baseline", "_bg_nbd"))
    cells = ["customer_ltv, Gini", home.name, f"{own:.4g}", "", f"{naive:.4g}", f"{rival:.4g} (BG/NBD)"]
    if truth is None:
        return [*cells, "", ""]
    both = evaluation.rows.merge(expected_customer_value(truth, evaluation.rows.origin.iloc[0]), on="user_id")
    actual = both.actual.to_numpy()
    best = gini(actual, both.expected_revenue_12m.to_numpy()) / gini(actual, actual)
    return [*cells, f"{best:.4g}", f"{own / best:.2f}"]


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
