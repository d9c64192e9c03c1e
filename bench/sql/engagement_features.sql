-- One row per property and hour from $first to $last in which an event came, or left the last seven days.
WITH believed_views AS (
    SELECT property_id, user_id, timestamp AS moment FROM page_views
    WHERE view_id IS NOT NULL AND property_id IS NOT NULL AND moment >= $first - INTERVAL 7 DAYS AND moment < $last + 1
        AND coalesce(device_type IN ('mobile', 'desktop', 'tablet'), true)
    QUALIFY row_number() OVER (
        PARTITION BY view_id, moment::date
        ORDER BY user_id DESC, property_id DESC, page_url DESC, device_type DESC, referrer DESC, moment DESC
    ) = 1
), acts AS (  -- the same event at the same instant counts once
    SELECT DISTINCT property_id, user_id, timestamp AS moment, event FROM clickstream
    WHERE property_id IS NOT NULL AND moment >= $first - INTERVAL 7 DAYS AND moment < $last + 1
        AND event IN ('click', 'search', 'filter')
), events AS (
    SELECT property_id, user_id, moment, 'view' AS event FROM believed_views
    UNION ALL SELECT property_id, user_id, moment, event FROM acts
), timed AS (
    SELECT *, date_trunc('hour', moment) AS hour,
        least(epoch(lead(moment) OVER visit)::bigint - epoch(moment)::bigint, 1800) AS gap,
        lead(moment) OVER visit IS NOT NULL AND user_id IS NOT NULL AND event = 'view' AS is_timed
    FROM events
    WINDOW visit AS (PARTITION BY user_id, date_trunc('hour', moment) ORDER BY moment, event, property_id)
), visits AS (
    SELECT property_id, hour, user_id, count_if(event = 'view') AS views, count_if(event = 'click') AS clicks,
        count_if(event = 'search') AS searches, sum(gap) FILTER (is_timed) AS seconds, count_if(is_timed) AS timed
    FROM timed GROUP BY ALL
), visited AS (
    SELECT property_id, hour, sum(views) AS views, sum(clicks) AS clicks, sum(searches) AS searches,
        count_if(views > 0 AND user_id IS NOT NULL) AS users, sum(seconds) / nullif(sum(timed), 0) AS time_on_page
    FROM visits GROUP BY ALL
), believed_bookings AS (
    SELECT property_id, created_at FROM bookings
    WHERE booking_id IS NOT NULL AND user_id IS NOT NULL AND property_id IS NOT NULL AND guests_count >= 0
        AND total_amount >= 0 AND status IN ('pending', 'confirmed', 'completed', 'cancelled')
        AND check_out >= check_in AND updated_at IS NOT NULL
        AND created_at >= $first - INTERVAL 7 DAYS AND created_at < $last + 1
    QUALIFY row_number() OVER (
        PARTITION BY booking_id, created_at::date
        ORDER BY user_id DESC, property_id DESC, check_in DESC, check_out DESC, guests_count DESC, total_amount DESC,
            status DESC, created_at DESC, updated_at DESC
    ) = 1
), booked AS (
    SELECT property_id, date_trunc('hour', created_at) AS hour, count(*) AS bookings FROM believed_bookings GROUP BY ALL
), came AS (
    SELECT * FROM visited FULL JOIN booked USING (property_id, hour)
), hourly AS (
    SELECT * FROM (
        SELECT property_id, hour FROM came UNION SELECT property_id, hour + INTERVAL 168 HOURS FROM came
    ) LEFT JOIN came USING (property_id, hour)
)
SELECT property_id, hour AS feature_hour, coalesce(views, 0) AS view_count, coalesce(clicks, 0) AS click_count,
    coalesce(searches, 0) AS search_count, coalesce(users, 0) AS unique_users, time_on_page,
    coalesce(sum(views) OVER week, 0) AS views_7d, coalesce(sum(clicks) OVER week, 0) AS clicks_7d,
    coalesce(sum(bookings) OVER week, 0) / nullif(views_7d, 0) AS conversion_rate,
    hour + INTERVAL 1 HOUR AS available_at
FROM hourly
WINDOW week AS (PARTITION BY property_id ORDER BY hour RANGE INTERVAL 167 HOURS PRECEDING)
QUALIFY hour >= $first AND hour < $last + 1
