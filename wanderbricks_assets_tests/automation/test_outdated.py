"""What people act on is made again when it lacks a day, or when the predictions of that day are newer."""

from collections.abc import Iterator

import dagster as dg
import pytest

from wanderbricks_assets.automation.outdated import outdated_activation

DAY, OTHER = "2024-01-14", "2024-01-13"
OF_SEGMENTS = ("customer_segments", "customer_segments_export")
OF_AUDIENCE = ("marketing_audience", "marketing_audience_export")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def make(instance: dg.DagsterInstance, *names: str, day: str = DAY) -> None:
    for name in names:
        instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=day))


def outdated(instance: dg.DagsterInstance, *predicted: str) -> set[str]:
    return set(outdated_activation(instance, predicted, DAY)) & {*OF_SEGMENTS, *OF_AUDIENCE}


def test_what_was_never_made_for_the_day_is_missing(instance: dg.DagsterInstance):
    make(instance, "customer_value", *OF_SEGMENTS, *OF_AUDIENCE, day=OTHER)
    assert outdated(instance) == {*OF_SEGMENTS, *OF_AUDIENCE}


def test_what_is_newer_than_all_it_is_made_of_is_left_alone(instance: dg.DagsterInstance):
    make(instance, "customer_value", *OF_SEGMENTS, *OF_AUDIENCE)
    assert outdated(instance) == set()


def test_what_is_older_than_a_prediction_is_made_again_with_its_files(instance: dg.DagsterInstance):
    make(instance, "customer_value", *OF_SEGMENTS, *OF_AUDIENCE, "conversion_scores")
    assert outdated(instance) == set(OF_AUDIENCE)
    make(instance, "conversion_scores", day=OTHER)
    make(instance, *OF_AUDIENCE)
    assert outdated(instance) == set()


def test_what_the_same_run_predicts_will_be_newer(instance: dg.DagsterInstance):
    make(instance, "customer_value", *OF_SEGMENTS, *OF_AUDIENCE)
    assert outdated(instance, "conversion_scores") == set(OF_AUDIENCE)
    assert outdated(instance, "customer_value") == {*OF_SEGMENTS, *OF_AUDIENCE}


def test_files_older_than_their_table_are_written_again(instance: dg.DagsterInstance):
    make(instance, "customer_value", *OF_SEGMENTS, *OF_AUDIENCE, "customer_segments")
    assert outdated(instance) == {"customer_segments_export"}
