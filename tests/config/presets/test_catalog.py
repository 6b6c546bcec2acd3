from cytobatch.config.presets.catalog import GALLERY_FORMATS, PRESETS, FormatName, GalleryFolder, PresetName


def test_every_preset_but_auto_is_described() -> None:
    assert set(PRESETS) == set(PresetName) - {PresetName.AUTO}


def test_a_presets_formats_are_those_of_this_package() -> None:
    assert frozenset().union(*(preset.formats for preset in PRESETS.values())) == frozenset(FormatName)


def test_every_folder_of_the_gallery_has_a_format() -> None:
    assert set(GALLERY_FORMATS) == set(GalleryFolder)
