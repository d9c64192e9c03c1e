from itertools import pairwise

import pytest

from wanderbricks_assets.dashboard.geography import WORLD, apart, around, clip, land_within, miller

SQUARE = [(0.0, 0.0), (0.0, 10.0), (10.0, 10.0), (10.0, 0.0)]


def test_a_polygon_is_cut_at_the_box():
    assert sorted(clip(SQUARE, (5, -5, 20, 5))) == [(5, 0), (5, 5), (10, 0), (10, 5)]
    assert clip(SQUARE, (20, 20, 30, 30)) == []
    assert clip(SQUARE, (-1, -1, 11, 11)) == SQUARE


def test_no_land_crosses_the_date_line():
    north = miller(WORLD[3])  # along which the land is cut
    rings = [ring for land in land_within(WORLD) for ring in land["geometry"]["coordinates"]]
    assert len(rings) > 50
    for ring in rings:
        steps = [(a[0] - b[0], a[1], b[1]) for a, b in pairwise(ring)]
        assert all(abs(step) < 15 or y == other == north for step, y, other in steps)


def test_lisbon_is_near_the_coast_of_the_land_around_it():
    box = around([-9.1], [38.7])
    assert box[0] < -9.1 < box[2]
    assert box[1] < 38.7 < box[3]
    points = [point for land in land_within(box) for ring in land["geometry"]["coordinates"] for point in ring]
    assert min(abs(x + 9.1) + abs(y - miller(38.7)) for x, y in points) < 1


def test_miller_keeps_the_equator_and_stretches_the_north():
    assert miller(0) == pytest.approx(0)
    assert miller(60) > 60


def test_names_do_not_write_over_each_other():
    assert apart([(0, 0), (1, 1), (50, 0)], (-90, -90, 90, 90)) == [True, False, True]
