"""The tables that are written whole: users, hosts, listings, places, staff, tickets.

What has no bearing on the market (names, addresses, phone numbers) is computed from the id, so that nothing need be
remembered.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wanderbricks_assets.contracts.source import CUSTOMER_SUPPORT_LOGS, PROPERTY_TYPES
from wanderbricks_assets.simulator import calibration as c
from wanderbricks_assets.simulator.event_tables import conform, dates, numbered, timestamps, words
from wanderbricks_assets.simulator.geography import geography
from wanderbricks_assets.simulator.world import Columns

_FIRST = """Ana Ben Carla David Elena Felix Grace Hugo Ines Jonas Kenji Lena Marco Nora Omar Priya Quinn Rosa Sven Tara
Uma Victor Wei Xenia Yuki Zoe Arthur Bianca Chen Dara"""
_LAST = """Almeida Brown Costa Dubois Evans Fischer Garcia Hansen Ito Jensen Kim Lopez Martin Nakamura Olsen Petrov
Rossi Schmidt Tanaka Ueda Vogel Wang Young Zhang Silva Khan"""
FIRST, LAST = tuple(_FIRST.split()), tuple(_LAST.split())
COMPANIES = ("Travel", "Consulting", "Logistics", "Media", "Partners", "Systems", "Trading", "Works")
AMENITIES = (
    ("Wifi", "Essentials"), ("Kitchen", "Essentials"), ("Heating", "Essentials"), ("Air conditioning", "Essentials"),
    ("Washing machine", "Essentials"), ("Hair dryer", "Bathroom"), ("Bathtub", "Bathroom"), ("Hot tub", "Leisure"),
    ("Pool", "Leisure"), ("Gym", "Leisure"), ("Sauna", "Leisure"), ("Barbecue", "Leisure"), ("Garden", "Outdoor"),
    ("Balcony", "Outdoor"), ("Sea view", "Outdoor"), ("Beach access", "Outdoor"), ("Ski storage", "Outdoor"),
    ("Free parking", "Access"), ("Elevator", "Access"), ("Step-free entrance", "Access"), ("Self check-in", "Access"),
    ("Workspace", "Work"), ("Printer", "Work"), ("Cot", "Family"), ("High chair", "Family"), ("Games", "Family"),
    ("Smoke alarm", "Safety"), ("First-aid kit", "Safety"), ("Fireplace", "Leisure"), ("Television", "Leisure"),
)  # fmt: skip
ROLES = ("cleaner", "concierge", "manager", "maintenance", "reception")
TOPICS = (
    ("I cannot find my booking confirmation.", "I have sent it to you again."),
    ("My payment failed, what should I do?", "Please try again, the bank did not answer."),
    ("Can I change my dates?", "Yes, as long as the nights are free."),
    ("The place was not clean.", "We are sorry and have told the host."),
    ("How do I cancel?", "You can cancel in your account until the day of arrival."),
    ("Is early check-in possible?", "The host says it is."),
)
# FACT: sentiments are spelt two ways.
MOODS = (("positive", "Positive"), ("neutral", "Neutral"), ("negative", "Negative"))


def scramble(ids: np.ndarray, purpose: int) -> np.ndarray:
    """[ids] unsigned integers that look random but depend on id and purpose only (splitmix64)."""
    with np.errstate(over="ignore"):
        x = ids.astype(np.uint64) + np.uint64(purpose) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def uniform(ids: np.ndarray, purpose: int) -> np.ndarray:
    return (scramble(ids, purpose) >> np.uint64(11)) / 2.0**53


def _names(ids: np.ndarray, purpose: int) -> pa.Array:
    first = words(FIRST, scramble(ids, purpose) % len(FIRST))
    return pc.binary_join_element_wise(first, words(LAST, scramble(ids, purpose + 1) % len(LAST)), " ")


def _phones(ids: np.ndarray) -> pa.Array:
    return numbered("+", 10_000_000_000 + (scramble(ids, 9) % 89_999_999_999).astype(np.int64))


def users(u: Columns) -> pa.Table:
    ids = np.arange(1, len(u) + 1)
    company = pc.binary_join_element_wise(
        words(LAST, scramble(ids, 3) % len(LAST)), words(COMPANIES, scramble(ids, 4) % len(COMPANIES)), " "
    )
    business = pa.array(u["business"])
    return conform(
        "users",
        {
            "user_id": ids,
            "email": numbered("guest", ids, "@example.com"),
            "name": _names(ids, 1),
            "country": words(tuple(geography().country), u["country"]),
            "user_type": words(("individual", "business"), u["business"].astype(int)),
            "created_at": timestamps(u["created"]),
            "is_business": business,
            "company_name": pc.if_else(business, company, pa.scalar(None, pa.string())),
        },
    )


def hosts(h: Columns) -> pa.Table:
    ids = np.arange(1, len(h) + 1)
    rating = np.clip(np.round(3.0 + 1.6 * (uniform(ids, 11) + uniform(ids, 12) - 1), 1), 1, 5)
    return conform(
        "hosts",
        {
            "host_id": ids,
            "name": _names(ids, 5),
            "email": numbered("host", ids, "@example.com"),
            "phone": _phones(ids),
            "is_verified": uniform(ids, 13) < 0.8,
            "is_active": h["lists"] | (uniform(ids, 14) < 0.4),
            "rating": rating,
            "country": words(tuple(geography().country), h["country"]),
            "joined_at": dates(h["joined"]),
        },
    )


def properties(p: Columns, until: int) -> pa.Table:
    """Listings with the price that holds at `until` (seconds since 1970)."""
    ids, place = np.arange(1, len(p) + 1), geography()
    kind, where = words(PROPERTY_TYPES, p["kind"]), words(tuple(place.destination), p["destination"])
    title = pc.binary_join_element_wise(numbered("", p["bedrooms"], "-bedroom "), kind, " in ", where, "")
    return conform(
        "properties",
        {
            "property_id": ids,
            "host_id": p["host"] + 1,
            "destination_id": p["destination"] + 1,
            "title": title,
            "description": pc.binary_join_element_wise(title, numbered(" for up to ", p["max_guests"], " guests."), ""),
            "base_price": np.where(p["price_changed"] < until, p["price"], p["price_before"]).astype(np.float32),
            "property_type": kind,
            "max_guests": p["max_guests"],
            "bedrooms": p["bedrooms"],
            "bathrooms": p["bathrooms"],
            "property_latitude": p["place"][:, 0].astype(np.float32),
            "property_longitude": p["place"][:, 1].astype(np.float32),
            "created_at": dates(p["created"]),
        },
    )


def property_updates(prices: Columns) -> pa.Table:
    order = np.lexsort((prices["prop"], prices["time"]))
    return conform(
        "property_updates",
        {
            "property_id": prices["prop"][order] + 1,
            "base_price": prices["price"][order].astype(np.float32),
            "updated_at": timestamps(prices["time"][order]),
        },
    )


def destinations() -> pa.Table:
    place = geography()
    countries = words(tuple(place.country), place.destination_country)
    names = pa.array(place.destination)
    return conform(
        "destinations",
        {
            "destination_id": np.arange(1, len(names) + 1),
            "destination": names,
            "country": countries,
            "state_or_province": pa.array(place.state),
            "state_or_province_code": pa.array(place.state_code),
            "description": pc.binary_join_element_wise(names, countries, ", "),
        },
    )


def countries() -> pa.Table:
    place = geography()
    return conform(
        "countries",
        {
            "country": pa.array(place.country),
            "country_code": pa.array(place.country_code),
            "continent": pa.array(place.continent),
        },
    )


def amenities() -> pa.Table:
    return conform(
        "amenities",
        {
            "amenity_id": np.arange(1, len(AMENITIES) + 1),
            "name": pa.array([name for name, _ in AMENITIES]),
            "category": pa.array([category for _, category in AMENITIES]),
            "icon": pa.array([name.lower().replace(" ", "-") for name, _ in AMENITIES]),
        },
    )


def property_amenities(p: Columns) -> pa.Table:
    every = np.arange(len(p) * len(AMENITIES))
    has = np.flatnonzero(uniform(every, 21) < c.AMENITIES_PER_PROPERTY / len(AMENITIES))
    return conform(
        "property_amenities", {"property_id": has // len(AMENITIES) + 1, "amenity_id": has % len(AMENITIES) + 1}
    )


def property_images(p: Columns) -> pa.Table:
    photos = p["photos"].astype(int)
    owner = np.repeat(np.arange(len(p)), photos)
    sequence = np.arange(len(owner)) - np.repeat(np.cumsum(photos) - photos, photos) + 1
    image = (owner + 1) * 10 + sequence
    return conform(
        "property_images",
        {
            "image_id": image,
            "property_id": owner + 1,
            "url": numbered("https://images.example.com/", image, ".jpg"),
            "sequence": sequence,
            "is_primary": sequence == 1,
            "uploaded_at": dates(p["created"][owner]),
        },
    )


def employees(h: Columns, today: int) -> pa.Table:
    """ASSUMPTION: hosts with listings have one or two people; a fifth of those have left."""
    ids = np.arange(1, len(h) + 1)
    staff = np.where(h["lists"], 1 + (uniform(ids, 31) < 0.4), 0)
    host = np.repeat(np.arange(len(h)), staff)
    number = (host + 1) * 10 + np.arange(len(host)) - np.repeat(np.cumsum(staff) - staff, staff)
    joined = h["joined"][host] + (uniform(number, 32) * 150).astype(int)
    end = joined + 60 + (uniform(number, 33) * 1500).astype(int)
    gone = (uniform(number, 34) < 0.2) & (end <= today)
    return conform(
        "employees",
        {
            "employee_id": number,
            "host_id": host + 1,
            "name": _names(number, 35),
            "role": words(ROLES, scramble(number, 37) % len(ROLES)),
            "email": numbered("staff", number, "@example.com"),
            "phone": _phones(number),
            "country": words(tuple(geography().country), h["country"][host]),
            "joined_at": dates(np.minimum(joined, today)),
            "end_service_date": pa.array(end.astype(np.int32), mask=~gone).view(pa.date32()),
            "is_currently_employed": ~gone,
        },
    )


def customer_support_logs(tickets: Columns) -> pa.Table:
    if not len(tickets):
        return CUSTOMER_SUPPORT_LOGS.empty()
    number = np.arange(1, len(tickets) + 1)
    question, answer = (tuple(topic[i] for topic in TOPICS) for i in (0, 1))
    spelling = (scramble(number, 41) % 2).astype(int)
    mood = words(tuple(m for pair in MOODS for m in pair), tickets["mood"] * 2 + spelling)
    asked = _text(tickets["time"])
    answered = _text(tickets["time"] + 300 + (uniform(number, 42) * 7200).astype(int))
    n = len(number)
    pairs = np.arange(2 * n).reshape(2, n).T.ravel()  # question, answer, question, answer ...
    sender = words(("customer", "agent"), np.repeat([0, 1], n))
    message = pa.concat_arrays([words(question, tickets["kind"]), words(answer, tickets["kind"])])
    fields = [message, sender, pa.concat_arrays([mood, words(("neutral", "Neutral"), spelling)])]
    fields.append(pa.concat_arrays([asked, answered]))
    messages = pa.StructArray.from_arrays(
        [x.take(pa.array(pairs)) for x in fields], ["message", "sender", "sentiment", "timestamp"]
    )
    return conform(
        "customer_support_logs",
        {
            "ticket_id": numbered("T", number),
            "user_id": tickets["user"] + 1,
            "support_agent_id": numbered("agent-", scramble(number, 43) % 40 + 1),
            "created_at": asked,
            "messages": pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * n + 1, 2, dtype=np.int32)), messages),
        },
    )


def _text(seconds: np.ndarray) -> pa.Array:
    return pc.strftime(timestamps(seconds).cast(pa.timestamp("s")), "%Y-%m-%d %H:%M:%S")
