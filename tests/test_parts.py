from appliance.parts import MODELS, Part


def test_each_part_with_a_settings_file_can_have_it_checked() -> None:
    assert set(MODELS) == set(Part)
