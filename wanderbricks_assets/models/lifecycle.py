"""Training, gates and promotion, made alike from each of the five models.

<model>            weekly: trains on what was known at the week's end and registers a challenger
  meets_target, beats_naive_baseline, no_worse_than_champion, is_calibrated: blocking checks
<model>_champion   the version that serves: moved to the challenger only when all gates are passed
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from wanderbricks_assets.models.card import model_card
from wanderbricks_assets.models.gates import GATES, Verdict, compare, refusal, verdicts
from wanderbricks_assets.models.model import CannotLearn, Evaluation, Model, Scores, Tables
from wanderbricks_assets.models.registry import CUTOFF, ModelRegistry
from wanderbricks_assets.models.training_files import digest
from wanderbricks_assets.models.versions import Candidate
from wanderbricks_assets.partitions import LAST_3_YEARS_OF_WEEKS, WEEKLY, run_window, window_of
from wanderbricks_assets.pictures import picture
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.settings import settings
from wanderbricks_assets.targets import Target


def lifecycle(model: type[Model]) -> list[dg.AssetsDefinition | dg.AssetChecksDefinition]:
    """The training asset, its gates and the promotion of one model."""
    return [_training(model), _gates(model), _promotion(model)]


def champion_key(model: type[Model]) -> str:
    return f"{model.name}_champion"


def inputs_of(model: type[Model], mapping: dg.PartitionMapping) -> list[dg.AssetDep]:
    """The tables a model reads, as dependencies: partitioned ones with the look-back, the others whole."""
    from wanderbricks_assets.contracts.tables import contract_of

    reader = f"models/{model.name}.py"
    return [
        dg.AssetDep(name, partition_mapping=mapping if contract_of(name, reader).time_column else None)
        for name in model.reads
    ]


def _training(model: type[Model]) -> dg.AssetsDefinition:
    target = model.target()

    @dg.asset(
        key=model.name,
        group_name="models",
        description=model.__doc__,
        owners=[target.owner],
        kinds={"mlflow", *model.flavours},
        tags={"target": target.metric},
        metadata={"target": f"{target.metric} {target.sign} {target.bound:g}", "experiment": target.experiment},
        partitions_def=WEEKLY,
        pool="training",
        deps=inputs_of(model, LAST_3_YEARS_OF_WEEKS),
    )
    def train(
        context: dg.AssetExecutionContext, lake: Lake, source: FilesSource, registry: ModelRegistry
    ) -> dg.MaterializeResult:
        cutoff = run_window(context).end
        tables = tables_until(model.reads, lake, source, cutoff, model.years)
        if run_id := _trained_but_not_told(context, model, tables, cutoff, registry):
            return dg.MaterializeResult(metadata=_registered(model, run_id, registry))
        with registry.training_run(target, cutoff, context.run.run_id) as run:
            try:
                evaluation = model.evaluate(tables, cutoff, settings().seed)
                training = model.training_set(tables, cutoff)
                fitted = model(settings().seed).fit(training)
            except CannotLearn as reason:
                registry.refuse(run, str(reason))
                return dg.MaterializeResult(metadata={"not trained": str(reason), **_links(run, registry)})
            card = model_card(fitted, training, evaluation, cutoff)
            registry.log(run, fitted, training, model.inputs(tables, cutoff), evaluation, card)
        return dg.MaterializeResult(metadata=_registered(model, run.info.run_id, registry))

    return train


def _trained_but_not_told(
    context: dg.AssetExecutionContext, model: type[Model], tables: Tables, cutoff: datetime, registry: ModelRegistry
) -> str | None:
    """The finished training of this week that Dagster was never told of, as its process was killed in between.

    It counts when it has learned from what would be learned from now: then another training would give the same model.
    """
    candidate = registry.candidate(model.target(), cutoff)
    if candidate is None or candidate.refusal:
        return None
    told = dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[context.partition_key])
    newest = context.instance.fetch_materializations(told, limit=1).records
    if newest and newest[0].asset_materialization.metadata["mlflow_run_id"].value == candidate.run_id:
        return None
    try:
        now = digest(model.training_set(tables, cutoff))
    except CannotLearn:
        return None
    return candidate.run_id if registry.learned_from(candidate.run_id) == now else None


def _registered(model: type[Model], run_id: str, registry: ModelRegistry) -> dict[str, Any]:
    """Registers what a finished run has trained; returns what the asset's page shows of it."""
    target, run, scores = model.target(), registry.run(run_id), registry.scores(run_id)
    evaluation = Evaluation(**vars(scores), rows=registry.evaluated_rows(run_id))
    return {
        "version": registry.register(target, run_id),
        "cutoff": str(datetime.fromisoformat(run.data.tags[CUTOFF])),
        "training_rows": int(run.data.params["training_rows"]),
        **_numbers({target.metric: scores.metric.value, "baseline": scores.baseline}),
        "picture": picture(model.figure(evaluation)),
        "model_card": dg.MetadataValue.md(registry.card(run_id)),
        **_links(run, registry),
        **_numbers(scores.metrics),
    }


def _gates(model: type[Model]) -> dg.AssetChecksDefinition:
    target = model.target()

    @dg.multi_asset_check(
        name=f"{model.name}_gates",
        specs=[
            dg.AssetCheckSpec(gate, asset=model.name, description=description, blocking=True)
            for gate, description in GATES.items()
        ],
    )
    def gates(context: dg.AssetCheckExecutionContext, registry: ModelRegistry) -> Iterator[dg.AssetCheckResult]:
        # Run with a week, the checks judge the version of that week; run alone, the newest.
        keys = context.partition_key_range if context.has_partition_key else None
        candidate = registry.candidate(target, window_of(WEEKLY, keys).end if keys else None)
        metadata = _check_metadata(target, candidate, registry)
        for verdict in judge(target, candidate, registry):
            yield dg.AssetCheckResult(
                check_name=verdict.gate,
                passed=verdict.passed,
                description=verdict.reason,
                metadata=metadata,
            )

    return gates


def _promotion(model: type[Model]) -> dg.AssetsDefinition:
    target = model.target()

    @dg.asset(
        key=champion_key(model),
        group_name="promotion",
        description=f"The version of the {model.name.replace('_', ' ')} that serves. It moves to a challenger that has "
        "passed all gates; otherwise the last good one goes on serving.",
        owners=[target.owner],
        kinds={"mlflow"},
        deps=[dg.AssetDep(model.name, partition_mapping=dg.LastPartitionMapping())],
    )
    def promote(registry: ModelRegistry) -> dg.MaterializeResult:
        candidate = registry.candidate(target)
        serving = registry.serving_version(target)
        decision = decide(target, candidate, registry)
        if candidate and candidate.version:
            registry.record_decision(target, candidate.version, decision.reason)
        if decision.refused:
            raise dg.Failure(decision.reason, metadata={"decision": decision.reason})
        if decision.version != serving:
            registry.promote(target, decision.version)
        return dg.MaterializeResult(
            metadata={
                "version": decision.version,
                "decision": decision.reason,
                "before": serving,
                "stage": target.stage,
                "release": target.release,
            }
        )

    return promote


def judge(target: Target, candidate: Candidate | None, registry: ModelRegistry) -> list[Verdict]:
    """The verdicts on a candidate, against the version that serves; of a past week, the one that served then."""
    if candidate is None:
        return refusal("nothing was trained yet")
    if candidate.refusal:
        return refusal(candidate.refusal)
    serving = registry.serving_version(target, candidate.cutoff)
    champion: Scores | None = None
    if serving is not None and serving != candidate.version:
        champion = registry.scores(registry.run_of(target, serving))
    return verdicts(target, registry.scores(candidate.run_id), champion)


@dataclass(frozen=True)
class Decision:
    """Which version is to serve (None: none), whether the candidate was refused, and the sentence that says why."""

    version: str | None
    refused: bool
    reason: str


def decide(target: Target, candidate: Candidate | None, registry: ModelRegistry) -> Decision:
    """A candidate that passes all gates and is better on common units serves. One that cannot be told apart serves
    if it has learned from newer data, as next week's version of the same method always has; of the same data, a tie
    keeps the champion."""
    serving = registry.serving_version(target)
    stays = f"Version {serving} goes on serving." if serving else "No version serves yet."
    judged = judge(target, candidate, registry)
    failed = [verdict for verdict in judged if not verdict.passed]
    if candidate is None or candidate.version is None or failed:
        reasons = "; ".join(dict.fromkeys(f"{verdict.gate}: {verdict.reason}" for verdict in failed))
        return Decision(serving, True, f"{target.model} was not promoted ({reasons}). {stays}")
    new = f"Version {candidate.version}"
    if serving == candidate.version:
        return Decision(serving, False, candidate.decision or f"{new} serves: it passed all gates.")
    if serving is None:
        return Decision(candidate.version, False, f"{new} serves: it passed all gates, and no other version served.")
    comparison = compare(*(registry.scores(run) for run in (registry.run_of(target, serving), candidate.run_id)))
    known = str(comparison) if comparison else "too few units in common to compare them"
    if comparison and comparison.is_better:
        return Decision(candidate.version, False, f"{new} serves: better than version {serving} ({known}).")
    if candidate.cutoff > registry.cutoff_of(target, serving):
        return Decision(
            candidate.version, False, f"{new} serves: it has learned from newer data than version {serving} ({known})."
        )
    return Decision(serving, False, f"A tie with {new.lower()} of the same data ({known}). {stays}")


def _check_metadata(target: Target, candidate: Candidate | None, registry: ModelRegistry) -> dict[str, Any]:
    if candidate is None:
        return {"target": f"{target.sign} {target.bound:g}"}
    if candidate.refusal:
        return {"target": f"{target.sign} {target.bound:g}", "cutoff": str(candidate.cutoff)}
    scores = registry.scores(candidate.run_id)
    metric = scores.metric
    return {
        "target": f"{target.sign} {target.bound:g}",
        **_numbers({target.metric: metric.value, "lower": metric.lower, "upper": metric.upper}),
        **_numbers({"baseline": scores.baseline}),
        "version": candidate.version,
        "cutoff": str(candidate.cutoff),
    }


def _numbers(values: dict[str, float]) -> dict[str, float]:
    """Plain floats: Dagster stores no NumPy scalars."""
    return {name: float(value) for name, value in values.items()}


def _links(run, registry: ModelRegistry) -> dict[str, dg.MetadataValue]:
    page, run_id = dg.MetadataValue.url(registry.page(run)), dg.MetadataValue.text(run.info.run_id)
    return {"mlflow_run": page, "mlflow_run_id": run_id}
