-- One row per listing and day from $first to $last, the day on which the home begins.
WITH listings AS (
    SELECT property_id, destination_id, property_type, bedrooms, base_price, max_guests, latitude, longitude,
        unnest(generate_series(
            greatest(effective_from::date, $first),
            least(coalesce(effective_to::date - 1, $last), $last),
            INTERVAL 1 DAY
        ))::date AS day
    FROM dim_property
), begun AS (
    SELECT property_id, min(day) AS first_day FROM listings GROUP BY ALL
), made AS (
    SELECT property_id, created_at::date AS day, count(*) AS made
    FROM fact_booking_history WHERE known_at = created_at GROUP BY ALL
), made_in_7_days AS (
    SELECT property_id, day + n::int AS day, sum(made) AS made
    FROM made, range(7) AS days(n) GROUP BY ALL
), states AS (
    SELECT property_id, status, check_in_date, check_out_date, known_at,
        lead(known_at) OVER (PARTITION BY booking_id ORDER BY known_at) AS known_until
    FROM fact_booking_history
), known AS (
    SELECT property_id, check_in_date, check_out_date,
        unnest(generate_series(
            greatest(known_at::date, check_in_date, $first),
            least(coalesce(known_until::date - 1, $last), check_out_date + 28, $last),
            INTERVAL 1 DAY
        ))::date AS day
    FROM states WHERE status <> 'cancelled'
), occupancy AS (
    SELECT property_id, day, sum(least(check_out_date, day + 1) - greatest(check_in_date, day - 29)) AS nights
    FROM known GROUP BY ALL
), ratings AS (
    SELECT property_id, greatest(created_at::date, first_day) AS day, sum(rating::decimal(18, 2)) AS stars,
        count(*) AS reviews
    FROM fact_review JOIN begun USING (property_id)
    WHERE created_at::date <= $last GROUP BY ALL
), photos AS (
    SELECT property_id, greatest(coalesce(uploaded_at, DATE '0001-01-01'), first_day) AS day, count(*) AS photos
    FROM (SELECT DISTINCT image_id, property_id, uploaded_at FROM property_images)
    JOIN begun USING (property_id)
    WHERE image_id IS NOT NULL AND (uploaded_at IS NULL OR uploaded_at <= $last) GROUP BY ALL
)
SELECT property_id, day AS feature_date, property_type, bedrooms, base_price, max_guests, destination, country,
    latitude, longitude,
    coalesce(made_a_week_ago, 0) AS bookings_lag_7d,
    coalesce(made_a_month_ago, 0) AS bookings_lag_30d,
    coalesce(made, 0) / 7 AS bookings_ma_7d,
    coalesce(nights, 0) / 30 AS occupancy_30d,
    sum(stars) OVER so_far::double / nullif(sum(reviews) OVER so_far, 0) AS rating,
    coalesce(sum(photos) OVER so_far, 0) AS photos_count,
    (sum(base_price::decimal(18, 2)) OVER alike::double - base_price) / nullif(count(base_price) OVER alike - 1, 0)
        AS competitor_price,
    (day + 1)::timestamp AS available_at
FROM listings
LEFT JOIN dim_destination USING (destination_id)
LEFT JOIN (SELECT property_id, day + 7 AS day, made AS made_a_week_ago FROM made) USING (property_id, day)
LEFT JOIN (SELECT property_id, day + 30 AS day, made AS made_a_month_ago FROM made) USING (property_id, day)
LEFT JOIN made_in_7_days USING (property_id, day)
LEFT JOIN occupancy USING (property_id, day)
LEFT JOIN ratings USING (property_id, day)
LEFT JOIN photos USING (property_id, day)
WINDOW so_far AS (PARTITION BY property_id ORDER BY day),
    alike AS (PARTITION BY destination_id, property_type, day)
