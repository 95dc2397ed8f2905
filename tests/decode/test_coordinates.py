"""Coordinate search."""

from peft_asr.decode.coordinates import coordinate_search


def search(rate, axes, start):
    said = []
    best, table = coordinate_search(rate, axes, start, said.append)
    assert len(said) == len(table) == len({(row["x"], row["y"]) for row in table})
    return best, table


def test_goes_round_until_nothing_moves():
    axes = {"x": [0.0, 1.0, 2.0, 3.0], "y": [-2.0, 0.0, 2.0]}
    # The best x depends on y: one round is not enough.
    best, table = search(
        lambda p: (p["x"] - p["y"] - 1) ** 2 / 4 + (p["y"] - 2) ** 2, axes, {"x": 0.0, "y": 0.0}
    )
    assert best == {"x": 3.0, "y": 2.0}
    assert table[-1]["best"] == min(row["rate"] for row in table) == 0.0


def test_of_equals_the_present_then_the_smallest():
    axes = {"x": [0.0, 1.0, 2.0], "y": [-1.0, 0.0]}
    assert search(lambda p: 5.0, axes, {"x": 0.7, "y": 0.0})[0] == {"x": 0.7, "y": 0.0}
    assert search(lambda p: float(p["x"] < 1.0), axes, {"x": 0.0, "y": 0.0})[0] == {"x": 1.0, "y": 0.0}
