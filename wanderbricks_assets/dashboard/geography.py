"""Land to draw places on, without asking the internet for a map."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

Ring = list[tuple[float, float]]
Box = tuple[float, float, float, float]  # west, south, east, north
WORLD: Box = (-170.0, -56.0, 180.0, 78.0)
# Natural Earth 1:110m (public domain), simplified to a tenth of a degree, without Antarctica;
# rings are not closed and do not cross the date line.
_LAND = Path(__file__).with_name("land.json")


def land_within(box: Box) -> list[dict]:
    """The land in a box as GeoJSON features, in degrees of longitude and of Miller's latitude."""
    features = []
    for polygon in _land():
        rings = [ring for ring in (clip(ring, box) for ring in polygon) if len(ring) >= 3]
        if rings:
            shape = [[(x, miller(y)) for x, y in (*ring, ring[0])] for ring in rings]
            features.append({"type": "Feature", "geometry": {"type": "Polygon", "coordinates": shape}})
    return features


def miller(latitude: float) -> float:
    """Miller's cylindrical projection, in degrees: Mercator's, with the poles nearer."""
    return math.degrees(1.25 * math.log(math.tan(math.pi / 4 + 0.4 * math.radians(latitude))))


def around(longitudes: list[float], latitudes: list[float], margin: float = 0.15, least: float = 6.0) -> Box:
    """The box of some places, with a margin: a share of its size, and at least some degrees. Of no place, the world."""
    if not longitudes:
        return WORLD
    (west, east), (south, north) = ((min(values), max(values)) for values in (longitudes, latitudes))
    wide, high = max(least, (east - west) * margin), max(least, (north - south) * margin)
    return (
        max(west - wide, WORLD[0]),
        max(south - high, WORLD[1]),
        min(east + wide, WORLD[2]),
        min(north + high, WORLD[3]),
    )


def apart(places: list[tuple[float, float]], box: Box, wide: float = 0.14, high: float = 0.07) -> list[bool]:
    """Which places can be named without writing over another: the first come first. wide, high: the room that a name
    takes, as shares of the box."""
    west, south, east, north = box
    named: list[tuple[float, float]] = []
    for x, y in places:
        if all(abs(x - a) > wide * (east - west) or abs(y - b) > high * (north - south) for a, b in named):
            named.append((x, y))
    return [place in named for place in places]


def clip(ring: Ring, box: Box) -> Ring:
    """The part of a polygon that lies in a box (Sutherland and Hodgman 1974)."""
    west, south, east, north = box
    for axis, bound, keeps_greater in ((0, west, True), (0, east, False), (1, south, True), (1, north, False)):
        ring = _clip_at(ring, axis, bound, keeps_greater)
    return ring


def _clip_at(ring: Ring, axis: int, bound: float, keeps_greater: bool) -> Ring:
    kept: Ring = []
    for before, point in zip([*ring[-1:], *ring[:-1]], ring, strict=True):
        was_in, is_in = (p[axis] >= bound if keeps_greater else p[axis] <= bound for p in (before, point))
        if was_in != is_in:
            share = (bound - before[axis]) / (point[axis] - before[axis])
            crossing = [before[i] + share * (point[i] - before[i]) for i in (0, 1)]
            crossing[axis] = bound
            kept.append((crossing[0], crossing[1]))
        if is_in:
            kept.append(point)
    return kept


@cache
def _land() -> list[list[Ring]]:
    polygons = json.loads(_LAND.read_text())["coordinates"]
    return [[[(x, y) for x, y in ring] for ring in polygon] for polygon in polygons]
