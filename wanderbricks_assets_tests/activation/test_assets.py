"""The activation assets, materialized by Dagster from a source whose users have names."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from wanderbricks_assets.activation.assets import ACTIVATION_ASSETS
from wanderbricks_assets.contracts.activation import EXPORTED
from wanderbricks_assets.contracts.features import PROPERTY_FEATURES
from wanderbricks_assets.contracts.gold import FACT_BOOKING_HISTORY
from wanderbricks_assets.contracts.predictions import CONVERSION_SCORES, CUSTOMER_VALUE
from wanderbricks_assets.gold.dimensions import dim_user
from wanderbricks_assets.models.registry import ModelRegistry
from wanderbricks_assets.partitions import DAILY
from wanderbricks_assets.resources.lake import Lake, LakeIOManager
from wanderbricks_assets.settings import settings
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.activation.market import DAY, listing, score, stay, value
from wanderbricks_assets_tests.marketplace import at, source_table, table_of

PLANTED = ("Zenobia Quill", "zenobia@quill.example", "Quill & Daughters")
USERS = 60  # of whom the tenth that is held out is not empty
THE_DAY = Window.of_days(DAY, DAY)
READ = [
    *(dg.AssetSpec(name, partitions_def=DAILY) for name in ("conversion_scores", "customer_value")),
    *(dg.AssetSpec(name, partitions_def=DAILY) for name in ("property_features", "fact_booking_history")),
    dg.AssetSpec("dim_user"),
]
ASSETS = [asset for asset in ACTIVATION_ASSETS if asset.key.to_user_string() != "online_view"]
NAMES = tuple(asset.key.to_user_string() for asset in ASSETS)


class Installation:
    def __init__(self, folder: Path, instance: dg.DagsterInstance, registry: ModelRegistry):
        self.lake = Lake(folder=str(folder / "lake"))
        self.instance, self.registry = instance, registry

    def predicted(self, scores: list[dict], values: list[dict]) -> None:
        self.lake.replace("conversion_scores", table_of(CONVERSION_SCORES, *scores), THE_DAY)
        self.lake.replace("customer_value", table_of(CUSTOMER_VALUE, *values), THE_DAY)

    def materialize(self, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [*READ, *ASSETS],
            selection=list(NAMES),
            instance=self.instance,
            resources={
                "lake": self.lake,
                "registry": self.registry,
                "io_manager": LakeIOManager(lake=self.lake),
            },
            partition_key=str(DAY),
            raise_on_error=raise_on_error,
        )

    def metadata(self, name: str) -> dict:
        event = self.instance.get_latest_materialization_event(dg.AssetKey(name))
        return {key: entry.value for key, entry in event.asset_materialization.metadata.items()}

    def rows(self, name: str) -> list[dict]:
        return self.lake.read(name, THE_DAY).order_by("user_id").to_pyarrow().to_pylist()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Without any version; making its database takes seconds."""
    folder = tmp_path_factory.mktemp("registry")
    return ModelRegistry(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_folder=str(folder / "artifacts"))


@pytest.fixture
def installation(tmp_path: Path, registry: ModelRegistry) -> Iterator[Installation]:
    name, email, company = PLANTED
    since = at("2023-01-01 00:00")
    person = {"name": name, "email": email, "company_name": company, "country": "Portugal", "created_at": since}
    users = source_table("users", *(person | {"user_id": key} for key in range(1, USERS + 1)))
    with dg.DagsterInstance.ephemeral() as instance:
        installation = Installation(tmp_path, instance, registry)
        lake = installation.lake
        lake.replace("dim_user", dim_user(users, lake.read("dim_user"), since))
        lake.replace("property_features", table_of(PROPERTY_FEATURES, listing(1)), THE_DAY)
        made = Window.of_days(at("2024-02-01 00:00").date(), DAY)
        lake.replace("fact_booking_history", table_of(FACT_BOOKING_HISTORY, stay(1, 1, 2)), made)
        installation.predicted(
            [score(key, 1, 0.5, ("low_price", 0.1)) for key in range(1, USERS + 1)],
            [value(key, "High Value", "Low") for key in range(1, USERS + 1)],
        )
        yield installation
    for folder in (settings().exports_folder, settings().rules_folder):
        shutil.rmtree(folder, ignore_errors=True)


def exported(name: str) -> list[dict]:
    return pq.read_table(file_of(name, "parquet"), partitioning=None).to_pylist()


def file_of(name: str, kind: str) -> Path:
    return settings().exports_folder / name / f"date={DAY}" / f"{name}.{kind}"


def test_the_files_are_written_and_nobody_who_is_held_out_is_in_that_of_the_audience(installation: Installation):
    assert installation.materialize().success
    audience = installation.rows("marketing_audience")
    held = {row["user_id"] for row in audience if row["is_holdout"]}
    assert len(audience) == USERS
    assert 0 < len(held) < USERS / 4
    assert {row["user_id"] for row in exported("marketing_audience")} == set(range(1, USERS + 1)) - held
    assert exported("customer_segments") == installation.rows("customer_segments")
    assert len(file_of("marketing_audience", "csv").read_text().splitlines()) == 1 + USERS - len(held)
    metadata = installation.metadata("marketing_audience")
    assert (metadata["users"], metadata["users_in_holdout"], metadata["pairs_scored"]) == (USERS, len(held), USERS)
    assert installation.metadata("marketing_audience_export")["csv"] == str(file_of("marketing_audience", "csv"))


def test_nothing_that_the_source_knows_of_a_persons_name_is_in_a_file(installation: Installation):
    installation.materialize()
    for contract in EXPORTED:
        rows = exported(contract.name)
        assert rows
        written = str(rows) + file_of(contract.name, "csv").read_text()
        for part in PLANTED:
            assert part not in written


def test_a_repeat_gives_the_same_bytes(installation: Installation):
    files = [(contract.name, kind) for contract in EXPORTED for kind in ("parquet", "csv")]
    installation.materialize()
    before = [file_of(*which).read_bytes() for which in files]
    installation.materialize()
    assert [file_of(*which).read_bytes() for which in files] == before


def test_without_scores_the_audience_is_empty_with_its_columns_and_the_reason(installation: Installation):
    installation.predicted([], [value(1, "High Value", "Low")])
    assert installation.materialize().success
    reason = installation.metadata("marketing_audience")["conversion_scores"]
    assert reason == (
        "empty on 2024-03-10: no version of wanderbricks_conversion_predictor had passed its gates by then; see the "
        "checks of conversion_predictor"
    )
    assert exported("marketing_audience") == []
    assert len(file_of("marketing_audience", "csv").read_text().splitlines()) == 1
    assert len(exported("customer_segments")) == 1


def test_without_values_nobody_is_taken_for_new(installation: Installation):
    installation.predicted([score(1, 1, 0.9)], [])
    installation.materialize()
    assert installation.rows("marketing_audience") == []
    assert "customer_ltv had passed" in installation.metadata("marketing_audience")["customer_value"]
    assert "customer_ltv had passed" in installation.metadata("customer_segments")["customer_value"]


def test_edited_rules_are_used_and_a_mistake_in_them_leaves_table_and_files_as_they_were(installation: Installation):
    rules = settings().rules_folder / "audience_rules.csv"
    rules.parent.mkdir(parents=True)
    head = "segment,churn_risk,min_probability,min_expected_value,max_properties,holdout_share,channel,message"
    rules.write_text(f"{head}\nHigh Value,Any,0.4,0,1,0,push,edited\n")
    installation.materialize()
    assert {row["message"] for row in exported("marketing_audience")} == {"edited"}
    before = file_of("marketing_audience", "csv").read_bytes(), installation.rows("marketing_audience")
    rules.write_text(f"{head}\nHigh Value,Any,4,0,1,0,push,edited\n")
    result = installation.materialize(raise_on_error=False)
    failed = {event.step_key: event for event in result.all_events if event.is_step_failure}
    assert "row 2: min_probability 4 is above 1" in str(failed["marketing_audience"].step_failure_data.error)
    assert (file_of("marketing_audience", "csv").read_bytes(), installation.rows("marketing_audience")) == before
    assert "customer_segments" in {event.step_key for event in result.all_events if event.is_step_success}


def test_every_asset_has_a_description_and_an_owner():
    for asset in ACTIVATION_ASSETS:
        spec = next(iter(asset.specs))
        assert spec.description
        assert spec.owners
