"""What training costs, model by model: `python -m bench.training HOME`.

At the end of the home's last whole week, each model in a process of its own with one thread: the tables are opened, the
evaluation (which fits several times), the fit that would serve, and its prediction from there.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.accuracy.homes import opened
from bench.measuring import cost_of, in_process, markdown, peak_memory, say
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.model import CannotLearn
from wanderbricks_assets.resources.tables import tables_until

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
STEPS = ("evaluate", "fit", "predict")


def table(home: Path) -> str:
    """Seconds of CPU of each step of each model, and the peak memory of its process."""

    def measured(name: str) -> dict:
        say(f"training: {name}")
        return in_process("bench.training", home, "--model", name, environment=ONE_THREAD)

    rows = []
    with ThreadPoolExecutor(2) as pool:  # as many as there are cores: CPU is counted
        found = dict(zip(MODELS, pool.map(measured, MODELS), strict=True))
    for name, costs in found.items():
        if "reason" in costs:
            rows.append((name, f"cannot learn: {costs['reason']}", *[""] * (len(STEPS) + 2)))
            continue
        in_all = sum(costs[step]["cpu"] for step in STEPS)
        cpu = [f"{costs[step]['cpu']:.1f}" for step in STEPS]
        rows.append((name, f"{costs['rows']:,}", *cpu, f"{in_all:.1f}", f"{costs['peak'] / 1e9:.2f}"))
    headings = ("model", "training rows", *(f"{step}, CPU s" for step in STEPS), "in all, CPU s", "peak memory, GB")
    return markdown(headings, rows)


def costs_of(name: str, home: Path) -> dict:
    """The costs of one model, measured in this process."""
    model, (lake, source, cutoff) = MODELS[name], opened(home)
    tables = tables_until(model.reads, lake, source, cutoff)
    made = {}

    def fit() -> None:
        made["rows"] = model.training_set(tables, cutoff)
        made["model"] = model().fit(made["rows"])

    steps = (
        lambda: model.evaluate(tables, cutoff),
        fit,
        lambda: made["model"].predict(model.inputs(tables, cutoff)),
    )
    try:
        costs = {name: vars(cost_of(step)) for name, step in zip(STEPS, steps, strict=True)}
    except CannotLearn as reason:
        return {"reason": str(reason)}
    return {**costs, "rows": len(made["rows"]), "peak": peak_memory()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("--model", choices=MODELS, help="only its costs, as JSON")
    given = parser.parse_args()
    print(json.dumps(costs_of(given.model, given.home)) if given.model else table(given.home))  # noqa: T201
