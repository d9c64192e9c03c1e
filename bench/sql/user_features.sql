-- One row per customer and day to $last on which a booking was made, changed, or left a look-back.
WITH states AS (
    SELECT user_id, known_at::date AS day, known_at = created_at AS is_first, check_in_date,
        (status <> 'cancelled')::int AS held, (total_amount * held)::decimal(18, 2) AS amount,
        coalesce(lag(held) OVER booking, 0) AS held_before, coalesce(lag(amount) OVER booking, 0) AS amount_before
    FROM fact_booking_history WINDOW booking AS (PARTITION BY booking_id ORDER BY known_at)
), daily AS (
    SELECT user_id, day, count_if(is_first) AS made, sum(amount - amount_before) AS spend,
        sum(held - held_before) AS held, sum(check_in_date - day) FILTER (is_first) AS lead_time
    FROM states GROUP BY ALL
), days AS (
    SELECT user_id, day FROM daily
    UNION SELECT user_id, (day + n)::date FROM daily, unnest([180, 360, 365]) AS left_after(n) WHERE made > 0
), so_far AS (
    SELECT user_id, day,
        sum(made) OVER until_day AS total_bookings,
        sum(spend) OVER until_day AS total_spend,
        sum(held) OVER until_day AS held,
        sum(lead_time) OVER until_day AS lead_time,
        max(CASE WHEN made > 0 THEN day END) OVER until_day AS last_booking,
        coalesce(sum(made) OVER (PARTITION BY user_id ORDER BY day RANGE INTERVAL 364 DAYS PRECEDING), 0) AS in_a_year,
        coalesce(sum(made) OVER (PARTITION BY user_id ORDER BY day RANGE INTERVAL 179 DAYS PRECEDING), 0)
        - coalesce(sum(made) OVER (
            PARTITION BY user_id ORDER BY day RANGE BETWEEN INTERVAL 359 DAYS PRECEDING AND INTERVAL 180 DAYS PRECEDING
        ), 0) AS trend
    FROM days LEFT JOIN daily USING (user_id, day)
    WINDOW until_day AS (PARTITION BY user_id ORDER BY day)
)
SELECT user_id, day AS feature_date, country, user_type, is_business,
    day - created_at::date AS tenure_days,
    total_bookings,
    total_spend::double AS total_spend,
    so_far.total_spend::double / nullif(held, 0) AS avg_booking_value,
    in_a_year AS booking_frequency,
    lead_time / total_bookings AS avg_lead_time,
    (total_bookings - held) / total_bookings AS cancellation_rate,
    day - last_booking AS days_since_last_booking,
    trend AS booking_trend,
    (day + 1)::timestamp AS available_at
FROM so_far JOIN dim_user USING (user_id)
WHERE day <= $last AND effective_from < (day + 1)::timestamp
    AND (effective_to IS NULL OR effective_to >= (day + 1)::timestamp)
