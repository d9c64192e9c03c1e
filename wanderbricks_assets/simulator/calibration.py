"""Every number the simulated marketplace is built on, in two kinds.

FACT: counts that people who queried `samples.wanderbricks` printed (docs: "What the real sample looks like"), or the
size the simulator is asked to have. ASSUMPTION: chosen before any model was trained because it is how lodging
behaves, and never tuned to a model's target. Money is in the marketplace's one currency, rates are per year unless
said otherwise.
"""

import numpy as np

from wanderbricks_assets.contracts.source import PROPERTY_TYPES

# --- size: asked for (scale 1: about 2,000 properties, 150 bookings a day and five million views over three years) ---
PROPERTIES_AT_START = 1_500
PROPERTY_GROWTH = 0.16  # new listings a year, of those there are
REGISTRATIONS_PER_DAY = 35.0  # at the start; grows with USER_GROWTH
USER_GROWTH = np.log(1.35)  # ASSUMPTION: FACT says "strong growth" without a number
YEARS_BEFORE_START = 3.0  # registrations this long before the first simulated day already exist

# --- FACT: the listings ---
TYPE_SHARE = np.array([0.51, 0.39, 0.09, 0.01])  # in the order of PROPERTY_TYPES; the mix per destination adds up to it
TYPE_PRICE = np.array([173.0, 199.0, 147.0, 266.0])  # mean base_price
HOSTS_PER_PROPERTY = 19_384 / 18_163
LISTINGS_PER_ACTIVE_HOST = 18_163 / 3_817
IMAGES_PER_PROPERTY = 54_186 / 18_163
AMENITIES_PER_PROPERTY = 118_108 / 18_163
MAX_GUESTS_EVER = 11

# --- FACT: bookings and what follows ---
NIGHTS_BY_DESTINATION = (3.8, 4.5)  # mean nights of a stay lie between these
CANCELLED_SHARE = 0.393  # final state; 51.0% completed, 8.0% confirmed, 1.7% pending
PAID_SHARE = 0.64  # bookings with a payment
REFUND_ROWS = 0.074  # of payment rows; 91.5% completed, 1.0% failed
FAILED_ROWS = 0.010
REVIEW_SHARE = 0.75  # of stays here: a stay that never took place is not reviewed (the real sample reviews those, too)
RATING_MEAN = 3.0
RATING_OF_STAY = 2.85  # of a plain stay; what is booked is better than plain, so that RATING_MEAN comes out
CLICKS_PER_VIEW = 100_000 / 500_000

# --- FACT: flaws, as shares of the rows of their table ---
DUPLICATE_PAYMENT = (49_638 - 45_173) / 49_638
ORPHAN_PAYMENT = 8 / 49_638
DUPLICATE_REVIEW = 1_000 / 99_793
DUPLICATE_VIEW = 5_000 / 500_000
DUPLICATE_UPDATE = 7_943 / 83_068
UNKNOWN_BOOKING_UPDATE = 47 / 83_068
TIED_UPDATE = 486 / 83_068
CONFLICTING = 0.1  # ASSUMPTION: share of repeated rows that disagree with the first; the rest are repeated deliveries

# --- FACT: the real sample, for profile "sample" ---
SAMPLE = {
    "properties": 18_163,
    "users": 124_509,
    "bookings": 72_247,
    "page_views": 500_000,
    "clickstream": 100_000,
    "payments": 49_638,
    "reviews": 99_793,
    "booking_updates": 83_068,
}

# --- ASSUMPTION: when people travel. Twelve monthly factors with mean 1, by kind of place ---
SEASONS = {
    "beach": (0.35, 0.40, 0.55, 0.80, 1.10, 1.55, 2.15, 2.15, 1.45, 0.80, 0.35, 0.35),
    "tropics": (1.50, 1.40, 1.30, 1.05, 0.70, 0.70, 0.90, 0.85, 0.60, 0.75, 1.00, 1.25),
    "south": (1.45, 1.00, 0.95, 1.00, 0.75, 0.80, 1.05, 0.85, 0.95, 1.00, 0.90, 1.30),
    "city": (0.75, 0.80, 0.90, 1.05, 1.10, 1.15, 1.25, 1.15, 1.10, 1.05, 0.80, 0.90),
    "desert": (1.30, 1.30, 1.20, 1.05, 0.80, 0.60, 0.65, 0.65, 0.75, 1.10, 1.25, 1.35),
    "east": (0.85, 0.80, 1.10, 1.25, 1.00, 0.80, 1.10, 1.05, 0.85, 1.15, 1.10, 0.95),
    "ski": (2.20, 2.30, 1.65, 0.55, 0.20, 0.45, 0.85, 0.85, 0.40, 0.30, 0.50, 1.75),
}
# Holidays from work and school at home, by month. FACT behind it: a July peak.
LEISURE_NORTH = (0.85, 0.90, 0.92, 0.98, 0.98, 1.08, 1.38, 1.28, 0.96, 0.90, 0.82, 0.95)
LEISURE_SOUTH = (1.35, 0.95, 0.92, 1.02, 0.88, 0.90, 1.12, 0.88, 0.95, 0.95, 0.93, 1.15)
HOLIDAY_AT_DESTINATION = 1.15  # check-in up to three days before a national holiday there
HOLIDAY_AT_HOME = 1.30
CHECK_IN_WEEKDAY = np.array([0.80, 0.75, 0.80, 1.10, 1.50, 1.25, 0.80])  # Monday first, mean 1
SHOPPING_WEEKDAY = np.array([1.08, 1.06, 1.03, 1.00, 0.92, 0.88, 1.03])
# Local events: destination, month, day, length in days, factor on check-ins from two days before.
EVENTS = (
    ("Munich", 9, 19, 16, 1.9),  # Oktoberfest
    ("Edinburgh", 8, 2, 24, 1.7),  # festivals
    ("Singapore", 9, 18, 4, 1.7),  # Grand Prix
    ("Abu Dhabi", 12, 4, 4, 1.6),  # Grand Prix
    ("Gold Coast", 10, 22, 4, 1.5),  # motor race
    ("Dubai", 12, 28, 5, 1.6),  # New Year
    ("Paris", 9, 28, 8, 1.3),  # fashion week
    ("Miami", 12, 3, 5, 1.6),  # art fair
    ("Venice", 2, 8, 12, 1.6),  # carnival
    ("Seville", 4, 20, 7, 1.8),  # Feria
    ("Tokyo", 3, 24, 14, 1.4),  # cherry blossom
    ("Kyoto", 3, 26, 14, 1.6),
    ("Osaka", 3, 26, 14, 1.3),
    ("Barcelona", 2, 26, 5, 1.6),  # mobile congress
    ("Berlin", 2, 12, 10, 1.3),  # film festival
    ("New York", 11, 1, 3, 1.4),  # marathon
    ("Ibiza", 6, 5, 7, 1.2),
    ("Vienna", 12, 1, 24, 1.3),  # Christmas markets
)

# --- ASSUMPTION: lead time in days, a mixture of the last minute and the planned: (share, median, log-sd) ---
LEAD_TIMES = ((0.4, 8.0, 0.8), (0.6, 50.0, 0.8))
LONGEST_LEAD = 360
LONGEST_STAY = 21

# --- ASSUMPTION: people ---
BUSINESS_SHARE = 0.12
TASTE_SHARE = np.array([0.47, 0.38, 0.12, 0.03])  # which kind of place a user likes best
EPISODES_PER_YEAR = 7.5  # shopping episodes of a living user, mean
HABIT_SHAPE = 0.7  # gamma shape of that rate: some are frequent, many hardly come back
CHURN_PER_YEAR = 0.45  # hazard of leaving for ever without saying so, mean
CHURN_SHAPE = 1.2
BUDGET_SD = 0.35  # log
SENSITIVITY_SD = 0.25  # log
BUSINESS_SENSITIVITY = 0.6
INTENT_SD = 0.6
DREAMER_SHARE = 0.45  # episodes that only dream
HOME_COUNTRY_PULL, SAME_CONTINENT_PULL = 3.0, 1.6
DEVICE_SHARE = np.array([0.55, 0.36, 0.09])  # mobile, desktop, tablet
REFERRER_PLANNER = np.array([0.34, 0.36, 0.08, 0.14, 0.08])  # direct, google, facebook, email, instagram
REFERRER_DREAMER = np.array([0.18, 0.32, 0.18, 0.10, 0.22])

# --- ASSUMPTION: what a choice weighs (utilities of a multinomial logit; the outside option has 0) ---
ATTRACTION = -0.63  # level: about a fifth of episodes end in a booking, as 30 views to a booking ask for
QUALITY, LOCATION, RATING, PHOTOS = 0.35, 0.25, 0.30, 0.20
SAME_TASTE, LOYALTY, OVERSIZE = 0.5, 0.6, 0.20
DREAMER = -2.0
DEVICE_EFFECT = np.array([0.0, 0.25, 0.10])
REFERRER_EFFECT = np.array([0.25, 0.0, -0.25, 0.30, -0.30])
URGENCY = 0.35  # when the stay is within two weeks
PEAK = 0.25  # per log of the destination's season on the night of arrival
# Price enters linearly, as in the textbook logit, so own-price elasticity is about minus PRICE at the going price and
# grows with it. Elasticities of lodging and tourism demand are mostly found between -0.5 and -3 (Crouch 1996, Journal
# of Business Research 36, a meta-analysis; Peng, Song, Crouch, Witt 2015, Journal of Travel Research 54).
# An owner whose costs are 30% of the price earns most at an elasticity of -1.4 (Lerner's rule), where listed prices
# about are; revenue alone would be highest at lower prices.
PRICE = np.array([1.7, 1.9, 1.6, 1.3])  # by type
PRICE_SD_DESTINATION, PRICE_SD_PROPERTY = 0.20, 0.15  # log
BUDGET_PART = 0.6  # against the own budget; the rest against the offers in the same place
# --- ASSUMPTION: what gets looked at ---
CONSIDERED = 3.2  # properties considered beyond the first, mean
MOST_CONSIDERED = 10
DRAWS = 16  # tries to fill a choice set
OTHER_TASTE_ACCEPTED = 0.5
POPULARITY_SD = 0.6

# --- ASSUMPTION: prices ---
MORE_BEDROOMS = np.array([0.7, 1.2, 0.8, 1.5])  # beyond the first, mean by type
PRICE_OF_SIZE = 0.55  # price grows with bedrooms to this power
PRICE_SD = {"quality": 0.18, "location": 0.15, "host": 0.32}  # log
PRICE_CHANGES_PER_YEAR = 4.0
PRICE_NOISE = 0.08  # log, of one change
INFLATION = 0.02

# --- ASSUMPTION: after the booking ---
CANCEL_LEVEL = -0.40  # logit at a lead of 24 days; set so that FACT CANCELLED_SHARE comes out
CANCEL_LEAD, CANCEL_TRAIT_SD, CANCEL_BUSINESS = 0.35, 0.6, -0.3
CANCEL_EARLY, CANCEL_EARLY_DAYS = 0.35, 2.0  # soon after booking, or else any time before check-in
PENDING_AT_FIRST = 0.40
STUCK_PENDING, STUCK_CONFIRMED = 0.026, 0.05  # states nobody ever moved on
CHANGED = 0.05
PREPAID = 0.11  # the rest pay on arrival, so that only these are refunded: FACT REFUND_ROWS
DELETED_REVIEW = 0.03
TICKETS_PER_BOOKING = 0.05

# Local hour of day at which people browse.
HOURS = np.array(
    [
        1.2,
        0.7,
        0.4,
        0.3,
        0.3,
        0.5,
        1,
        1.8,
        2.6,
        3.2,
        3.6,
        3.9,
        4.2,
        4.0,
        3.8,
        3.8,
        4.0,
        4.4,
        5.2,
        6.2,
        7.0,
        6.8,
        5.0,
        2.8,
    ]
)
SECONDS = 86_400
assert len(PROPERTY_TYPES) == len(TYPE_SHARE)
