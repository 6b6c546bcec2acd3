"""Every option has a group, by which help and documents list it."""

import pytest

from cytobatch.config.environment import Settings
from cytobatch.config.option_groups import OptionGroup, group_of, is_common, options_by_group
from cytobatch.config.options import PlateJob, PlateOptions


def test_every_option_is_in_one_group() -> None:
    groups = options_by_group(Settings)
    assert sorted(option for options in groups.values() for option in options) == sorted(Settings.model_fields)
    assert list(groups) == list(OptionGroup)


def test_options_of_a_group_are_in_the_order_of_the_fields() -> None:
    groups = options_by_group(PlateOptions)
    assert groups[OptionGroup.PLATE] == ("source", "destination", "plate", "batch", "well", "site")
    assert OptionGroup.AWS_BATCH not in groups


def test_ten_options_of_a_plate_are_common() -> None:
    common = [option for option in PlateOptions.model_fields if is_common(PlateOptions, option)]
    assert len(common) == 10
    assert common[:2] == ["source", "destination"]


def test_an_option_without_a_group_is_a_defect() -> None:
    with pytest.raises(KeyError, match="join"):
        group_of(PlateJob, "join")
