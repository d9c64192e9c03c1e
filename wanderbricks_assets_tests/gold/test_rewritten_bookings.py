"""Sources whose `bookings` were written again after the booking was made."""

from wanderbricks_assets.gold.as_known import bookings_as_known
from wanderbricks_assets.gold.bookings import fact_booking_history
from wanderbricks_assets.window import Window
from wanderbricks_assets_tests.marketplace import at, booking, day, source_table


def test_a_state_written_later_is_not_known_when_the_booking_is_made():
    row = booking(1, created_at="2024-01-02 10:00", status="cancelled", updated_at=at("2024-03-01 09:00"))
    bookings = source_table("bookings", row)
    year = Window.of_days(day("2024-01-01"), day("2024-12-31"), opens=True)
    history = fact_booking_history(bookings, source_table("booking_updates"), year)
    before = bookings_as_known(history, at("2024-02-01 00:00")).to_pyarrow()
    after = bookings_as_known(history, at("2024-03-02 00:00")).to_pyarrow()
    assert before["status"].to_pylist() == ["confirmed"]
    assert after["status"].to_pylist() == ["cancelled"]
