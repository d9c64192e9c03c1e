"""How time is cut, and how far back inputs reach."""

import dagster as dg
import pytest

from wanderbricks_assets.features.assets import engagement_features, property_features, user_features
from wanderbricks_assets.gold.assets import fact_booking_daily, fact_booking_history
from wanderbricks_assets.partitions import DAILY, HOURLY, SOURCE_HOURS, WEEKLY, window_of
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import at, day


def keys(first: str, last: str | None = None) -> dg.PartitionKeyRange:
    return dg.PartitionKeyRange(first, last or first)


def upstream(asset: dg.AssetsDefinition, name: str, of: dg.PartitionsDefinition, key: str) -> dg.PartitionKeyRange:
    """The partitions of an input that one partition of an asset reads."""
    mapping = asset.get_partition_mapping(dg.AssetKey(name))
    subset = asset.partitions_def.subset_with_partition_keys([key])
    found = mapping.get_upstream_mapped_partitions_result_for_partitions(subset, asset.partitions_def, of)
    read = list(found.partitions_subset.get_partition_keys())
    return keys(read[0], read[-1])


def test_the_first_partitions_begin_with_the_home():
    assert DAILY.get_first_partition_key() == "2024-01-01"
    assert HOURLY.get_first_partition_key() == SOURCE_HOURS.get_first_partition_key() == "2024-01-01-00:00"


def test_a_range_of_days_is_one_window():
    assert window_of(DAILY, keys("2024-02-28", "2024-03-01")) == Window.of_days(day("2024-02-28"), day("2024-03-01"))
    assert window_of(DAILY, keys("2024-02-28")) == Window.of_days(day("2024-02-28"), day("2024-02-28"))


def test_a_range_that_begins_with_the_first_day_is_open_to_the_past():
    assert window_of(DAILY, keys("2024-01-01", "2024-01-02")) == Window.of_days(
        day("2024-01-01"), day("2024-01-02"), opens=True
    )
    assert window_of(DAILY, keys("2024-01-02")).opens is False


def test_source_hours_open_to_the_past_and_hourly_features_do_not():
    first = (at("2024-01-01 00:00"), at("2024-01-01 02:00"))
    both = keys("2024-01-01-00:00", "2024-01-01-01:00")
    assert window_of(SOURCE_HOURS, both) == Window(*first, opens=True)
    assert window_of(HOURLY, both) == Window(*first, opens=False)


@pytest.mark.parametrize("hour", ["2024-03-31-01:00", "2024-03-31-02:00", "2024-10-27-01:00"])
def test_hours_are_utc_so_none_is_missing_or_doubled_when_clocks_change(hour: str):
    window = window_of(HOURLY, keys(hour))
    assert (window.start, (window.end - window.start).seconds) == (at(hour[:10] + " " + hour[11:]), 3600)


def test_a_week_ends_on_monday_at_midnight_which_is_the_training_cutoff():
    window = window_of(WEEKLY, keys("2024-01-08"))
    assert (window.start, window.end) == (at("2024-01-08 00:00"), at("2024-01-15 00:00"))
    assert window.start.weekday() == 0


def test_an_hour_of_engagement_reads_the_seven_days_before_it():
    for name in ("page_views", "clickstream", "bookings"):
        read = upstream(engagement_features, name, SOURCE_HOURS, "2024-03-10-05:00")
        assert read == keys("2024-03-03-05:00", "2024-03-10-05:00")


def test_a_day_of_states_reads_the_hours_of_its_updates_and_three_years_of_bookings():
    updates = upstream(fact_booking_history, "booking_updates", SOURCE_HOURS, "2024-03-10")
    assert updates == keys("2024-03-10-00:00", "2024-03-10-23:00")
    bookings = upstream(fact_booking_history, "bookings", SOURCE_HOURS, "2024-03-10")
    assert bookings == keys("2024-01-01-00:00", "2024-03-10-23:00")


def test_a_day_reads_no_booking_of_a_later_day():
    for asset in (fact_booking_daily, property_features, user_features):
        read = upstream(asset, "fact_booking_history", DAILY, "2024-03-10")
        assert read == keys("2024-01-01", "2024-03-10")
