import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.errors import LayoutError
from cytobatch.planning.schema import (
    ExportColumns,
    align_to_schema,
    cast_groups,
    missing_columns,
    schema_by_declarations,
    schema_by_names,
    unify_schemas,
)

KINDS = st.sampled_from([pa.int64(), pa.float64(), pa.null()])
TYPED = st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from([pa.int64(), pa.float64()]), max_size=6)
SCHEMAS = st.dictionaries(st.text(min_size=1, max_size=5), KINDS, max_size=6)


def parts(*schemas: dict[str, pa.DataType]) -> list[ExportColumns]:
    return [ExportColumns(f"site{number}", pa.schema(list(schema.items()))) for number, schema in enumerate(schemas)]


@given(st.lists(SCHEMAS, max_size=5), st.randoms())
def test_the_union_does_not_depend_on_the_order_of_exports(schemas: list[dict[str, pa.DataType]], dice: object) -> None:
    shuffled = list(schemas)
    dice.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = unify_schemas("cells", parts(*schemas)), unify_schemas("cells", parts(*shuffled))
    assert one.equals(other)
    assert set(one.names) == set().union(*(schema.keys() for schema in schemas))


@given(TYPED, st.lists(TYPED, max_size=3))
def test_every_export_is_aligned_to_the_union(
    own: dict[str, pa.DataType], others: list[dict[str, pa.DataType]]
) -> None:
    schema = unify_schemas("cells", parts(own, *others))
    table = pa.table([pa.array([1, 2], kind) for kind in own.values()], list(own))
    result = align_to_schema(table, schema)
    if own:
        assert result.schema.equals(schema)
        for name in schema.names:
            expected = [1, 2] if name in own else [None, None]
            assert result[name].to_pylist() == expected


def test_columns_keep_the_order_of_the_widest_export() -> None:
    double = pa.float64()
    wide, narrow = {"b": double, "a": double, "d": double}, {"a": double, "z": double}
    assert unify_schemas("cells", parts(narrow, wide)).names == ["b", "a", "d", "z"]


def test_an_integer_and_a_float_make_a_float() -> None:
    assert unify_schemas("cells", parts({"a": pa.int64()}, {"a": pa.float64()})).field("a").type == pa.float64()


def test_text_and_numbers_in_one_column_are_an_error_that_names_both_exports() -> None:
    with pytest.raises(LayoutError) as caught:
        unify_schemas("cells", parts({"a": pa.string()}, {"a": pa.float64()}))
    assert "column 'a' of table 'cells'" in caught.value.what
    assert "site0 and site1" in caught.value.where


def test_missing_columns_are_named() -> None:
    one, two = parts({"a": pa.int64(), "b": pa.int64()}, {"a": pa.int64()})
    missing = missing_columns("cells", unify_schemas("cells", [one, two]), two)
    assert [(item.export, item.table, item.column) for item in missing] == [("site1", "cells", "b")]


def test_types_by_name_follow_the_meaning_of_names_and_not_the_rows() -> None:
    columns = ["ImageNumber", "Parent_Cells", "AreaShape_Area", "FileName_DNA", "Metadata_Well"]
    schema = schema_by_names(columns, {"Metadata_Well": pa.string()})
    assert schema.types == [pa.int64(), pa.int64(), pa.float64(), pa.string(), pa.string()]


def test_types_by_declaration_are_those_declared_except_for_keys_and_measurements() -> None:
    declared = pa.schema(
        [
            ("ImageNumber", pa.string()),
            ("Cells_Parent_Nuclei", pa.float64()),
            ("TableNumber", pa.string()),
            ("Cells_AreaShape_Area", pa.int64()),
            ("Cells_Children_Cytoplasm_Count", pa.int32()),
            ("Class", pa.string()),
        ]
    )
    expected = [pa.int64(), pa.int64(), pa.string(), pa.float64(), pa.int64(), pa.string()]
    assert schema_by_declarations(declared).types == expected


def test_groups_are_cast() -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.float64()), ("c", pa.string())])
    cast = cast_groups(schema, {"float": "float32", "integer": "int32", "string": "large_string"})
    assert cast.types == [pa.int32(), pa.float32(), pa.large_string()]
