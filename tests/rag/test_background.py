"""The background list: what it weighs, and that it is the one its header describes."""

import math
from importlib.resources import files

from appliance.rag.background import MOST, PASSAGES, saturation, weight
from bench.background import render


def test_rare_terms_weigh_more() -> None:
    assert weight("inconnudebataillon") > weight("prefet") > weight("franc") > 0
    assert weight("inconnudebataillon") == math.log(1 + (PASSAGES + 0.5) / 0.5)


def test_occurrences_saturate() -> None:
    values = [saturation(tf, 80) for tf in range(6)]
    assert values[0] == 0
    assert values == sorted(values)
    assert values[-1] < MOST
    assert saturation(1, 200) < saturation(1, 50)


def test_the_list_is_made_from_what_it_says() -> None:
    shipped = files("appliance.rag").joinpath("background.txt").read_text("utf-8")
    assert shipped == render()
