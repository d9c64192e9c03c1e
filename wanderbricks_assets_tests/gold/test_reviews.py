"""What guests gave: one row per review that is believed and not deleted."""

from wanderbricks_assets.contracts.gold import FACT_REVIEW
from wanderbricks_assets.gold.reviews import fact_review
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import day, frame, review, source_table

DAYS = Window.of_days(day("2024-01-02"), day("2024-01-03"))


def given(*reviews: dict) -> list[tuple[int, float]]:
    rows = frame(fact_review(source_table("reviews", *reviews), DAYS), FACT_REVIEW)
    return sorted(zip(rows.review_id, rows.rating, strict=True))


def test_a_review_belongs_to_the_day_on_which_it_was_given():
    times = ("2024-01-01 23:59:59", "2024-01-02 00:00", "2024-01-03 23:59:59", "2024-01-04 00:00")
    reviews = (review(number, time, 4.5) for number, time in enumerate(times))
    assert given(*reviews) == [(1, 4.5), (2, 4.5)]


def test_a_deleted_review_and_one_that_is_not_believed_give_no_stars():
    time = "2024-01-02 12:00"
    deleted = review(4, time, 2.0) | {"is_deleted": True}
    twice = [review(3, time, 1.0)] * 2
    assert given(review(1, time, None), review(2, time, 6.0), *twice, deleted) == [(3, 1.0)]
