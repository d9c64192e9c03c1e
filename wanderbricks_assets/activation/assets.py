"""What people act on, each day: the marketing audience and the customers' segments, and their files."""

from collections.abc import Callable

import dagster as dg

from wanderbricks_assets.activation.audience import Audience, audience_rules
from wanderbricks_assets.activation.audience import marketing_audience as make_audience
from wanderbricks_assets.activation.exports import check_exportable, export
from wanderbricks_assets.activation.online_asset import online_view
from wanderbricks_assets.activation.segments import customer_segments as make_segments
from wanderbricks_assets.contracts import activation as contracts
from wanderbricks_assets.contracts.contract import Contract
from wanderbricks_assets.contracts.dagster_face import described
from wanderbricks_assets.lazy import Table, ibis
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import DAILY, LAST_YEAR, SAME_TIME, run_window
from wanderbricks_assets.predictions.assets import TARGET_OF
from wanderbricks_assets.resources.lake import Lake
from wanderbricks_assets.settings import settings
from wanderbricks_assets.targets import TARGETS
from wanderbricks_assets.window import Window

MARKETING = (TARGETS["conversion_predictor"].owner,)
THAT_DAY = dg.AssetIn(partition_mapping=SAME_TIME)


@dg.asset(
    **described(contracts.MARKETING_AUDIENCE, "activation", owners=MARKETING),
    partitions_def=DAILY,
    ins={
        "conversion_scores": THAT_DAY,
        "customer_value": THAT_DAY,
        "property_features": THAT_DAY,
        "fact_booking_history": dg.AssetIn(partition_mapping=LAST_YEAR),
    },
)
def marketing_audience(
    context: dg.AssetExecutionContext,
    registry: ModelRegistry,
    conversion_scores: Table,
    customer_value: Table,
    property_features: Table,
    dim_user: Table,
    fact_booking_history: Table,
) -> dg.Output[Table]:
    window = run_window(context)
    tables = Audience(conversion_scores, customer_value, property_features, dim_user, fact_booking_history)
    rules = audience_rules()
    missing = {
        name: reason
        for name, rows in {"conversion_scores": conversion_scores, "customer_value": customer_value}.items()
        if (reason := _why_empty(name, rows, window, registry))
    }
    if missing:  # without values nobody's segment is known, and everybody would seem new
        return dg.Output(ibis.memtable(contracts.MARKETING_AUDIENCE.empty()), metadata=missing)
    rows = contracts.MARKETING_AUDIENCE.conform(make_audience(tables, rules, window.end)).to_pyarrow()
    found = ibis.memtable(rows)  # so that counting and writing compute it once
    return dg.Output(
        found,
        metadata={
            "users": found.user_id.nunique().to_pyarrow().as_py(),
            "users_in_holdout": found.user_id.nunique(where=found.is_holdout).to_pyarrow().as_py(),
            "pairs_scored": conversion_scores.count().to_pyarrow().as_py(),
        },
    )


@dg.asset(
    **described(contracts.CUSTOMER_SEGMENTS, "activation", owners=(TARGETS["customer_ltv"].owner,)),
    partitions_def=DAILY,
    ins={"customer_value": THAT_DAY},
)
def customer_segments(
    context: dg.AssetExecutionContext, lake: Lake, registry: ModelRegistry, customer_value: Table, dim_user: Table
) -> dg.Output[Table]:
    window = run_window(context)
    earlier = lake.read("customer_segments", Window(window.start.min, window.start, opens=True))
    reason = _why_empty("customer_value", customer_value, window, registry)
    return dg.Output(
        make_segments(customer_value, dim_user, earlier, window.end),
        metadata={"customer_value": reason} if reason else {},
    )


def _export_asset(contract: Contract, choose: Callable[[Table], Table] = lambda rows: rows) -> dg.AssetsDefinition:
    """The day's rows of a table as files in `<home>/exports`, for other systems."""
    check_exportable(contract)

    @dg.asset(
        key=f"{contract.name}_export",
        group_name="activation",
        description=f"{contract.name} of the day as Parquet and CSV in <home>/exports/{contract.name}/date=YYYY-MM-DD.",
        owners=list(MARKETING),
        kinds={"parquet", "csv"},
        partitions_def=DAILY,
        deps=[dg.AssetDep(contract.name, partition_mapping=SAME_TIME)],
    )
    def files(context: dg.AssetExecutionContext, lake: Lake) -> dg.MaterializeResult:
        window = run_window(context)
        rows = choose(lake.read(contract.name, window))
        written = export(contract, rows, window.last_day, settings().exports_folder)
        return dg.MaterializeResult(
            metadata={
                "dagster/partition_row_count": rows.count().to_pyarrow().as_py(),
                **{file.suffix[1:]: dg.MetadataValue.path(file) for file in written},
            }
        )

    return files


def _to_contact(audience: Table) -> Table:
    """Whoever is not held out: a file that is sent out whole must not reach the holdout."""
    return audience.filter(~audience.is_holdout)


def _why_empty(name: str, rows: Table, window: Window, registry: ModelRegistry) -> str | None:
    """Why a table of predictions has no row of the day; None where it has some."""
    if rows.count().to_pyarrow().as_py():
        return None
    target = TARGET_OF[name]
    if registry.serving_version(target, window.end) is None:
        return (
            f"empty on {window.last_day}: no version of {target.registered_name} had passed its gates by then; see "
            f"the checks of {target.model}"
        )
    return f"empty on {window.last_day}: there was nobody to predict for, or the day was not predicted"


# What hosts decide is the outside world: recorded as it happens, not made from anything.
PRICE_DECISIONS = dg.AssetSpec(**described(contracts.PRICE_DECISIONS, "decisions"), partitions_def=DAILY)
# In the order in which they are made.
ACTIVATION_ASSETS = [
    marketing_audience,
    customer_segments,
    _export_asset(contracts.MARKETING_AUDIENCE, _to_contact),
    _export_asset(contracts.CUSTOMER_SEGMENTS),
    online_view,
]
