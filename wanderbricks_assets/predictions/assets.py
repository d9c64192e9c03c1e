"""The predictions of each day, made by the version that has passed its gates and by no other."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from wanderbricks_assets.contracts import predictions as contracts
from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.models import drift
from wanderbricks_assets.models.all import MODELS
from wanderbricks_assets.models.lifecycle import champion_key, inputs_of
from wanderbricks_assets.models.model import Model
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import DAILY, LAST_3_YEARS, run_window
from wanderbricks_assets.predictions.batches import predicted_in_batches
from wanderbricks_assets.resources.engine import engine
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.resources.source import FilesSource
from wanderbricks_assets.resources.tables import tables_until
from wanderbricks_assets.targets import TARGETS

DRIFT = "drift"
"""Metadata of a day's predictions: of `inputs` and `predictions`, by feature, the stability index and its bound."""


def _predicted_by() -> dict[Contract, str]:
    """The model of each table of predictions."""
    found: dict[Contract, str] = {}
    for name, target in TARGETS.items():
        contract = contracts.PREDICTIONS.get(target.table)
        if contract is None:
            raise LookupError(
                f"targets.py: {name} writes '{target.table}', which contracts/predictions.py does not have (it has "
                f"{', '.join(contracts.PREDICTIONS)}); add its contract there"
            )
        if contract in found:
            raise LookupError(
                f"targets.py: {found[contract]} and {name} both write '{target.table}'; give each one of its own"
            )
        found[contract] = name
    return found


PREDICTED_BY = _predicted_by()
TARGET_OF = {contract.name: TARGETS[name] for contract, name in PREDICTED_BY.items()}


def prediction_asset(contract: Contract, model: type[Model]) -> dg.AssetsDefinition:
    """A day's predictions from what was known at its end; none, with the reason logged, while no version may serve."""
    target = model.target()

    @dg.asset(
        **described(contract, "predictions", owners=(target.owner,)),
        partitions_def=DAILY,
        deps=[champion_key(model), *inputs_of(model, LAST_3_YEARS)],
        output_required=False,
    )
    def predict(
        context: dg.AssetExecutionContext, lake: Lake, source: FilesSource, registry: ModelRegistry
    ) -> Iterator[dg.Output[Table]]:
        moment = run_window(context).end
        champion = registry.champion(target, moment)
        if champion is None:
            context.log.warning(
                f"No version of {target.registered_name} that had passed its gates could have been known at {moment}: "
                f"nothing is predicted. See the checks of {model.name}."
            )
            return
        inputs = model.inputs(tables_until(model.reads, lake, source, moment, model.years), moment)
        on_spark = model.is_row_wise and engine().name == "pyspark"
        said = champion.model.predict(drift.sample(inputs) if on_spark else inputs)
        reference = registry.reference(registry.run_of(target, champion.version))
        moved = {
            kind: {name: [found.psi, found.bound] for name, found in drift.drifts(reference[kind], now).items()}
            for kind, now in (("inputs", inputs), ("predictions", said))
            if kind in reference
        }
        if on_spark and len(inputs):
            rows = predicted_in_batches(champion.model, inputs, contract)
        else:
            said_of = {name: contract.schema[name] for name in said.columns}
            rows = ibis.memtable(said, schema=ibis.schema(said_of)) if said.empty else ibis.memtable(said)
        rows = rows.mutate(
            prediction_date=ibis.date((moment - timedelta(days=1)).date()),
            model_name=ibis.literal(target.registered_name),
            model_version=ibis.literal(champion.version),
            made_at=ibis.timestamp(moment),
        )
        yield dg.Output(
            rows,
            metadata={
                "model_version": champion.version,
                "trained_until": str(champion.cutoff),
                DRIFT: dg.MetadataValue.json(moved),
            },
        )

    return predict


PREDICTION_ASSETS = [prediction_asset(contract, MODELS[name]) for contract, name in PREDICTED_BY.items()]
