"""ExportToDatabase's files for MySQL, which have no header, are refused for what they are."""

import pytest

from cytobatch.errors import LayoutError
from cytobatch.formats.mysql_export import check_no_mysql_export
from cytobatch.planning.inventory import Inventory, SourceFile

IMAGE, OBJECTS = "SQL_1_96_Image.CSV", "SQL_1_96_Object.CSV"
ROW = b"1,1,1011.5,nan\n1,2,1012.5,0.5\n"
HEADER = b"ImageNumber,ObjectNumber,AreaShape_Area\n1,1,2\n"


@pytest.mark.parametrize(
    ("files", "heads", "is_refused"),
    [
        ([IMAGE, OBJECTS, "SQL_SETUP.SQL"], {}, True),
        ([IMAGE, OBJECTS], {OBJECTS: ROW}, True),
        (["run/MyExpt_1_2_image.csv", "run/MyExpt_1_2_cells.csv"], {"run/MyExpt_1_2_cells.csv": ROW}, True),
        ([IMAGE, OBJECTS, "SQL_SETUP.SQL"], {OBJECTS: HEADER}, False),
        ([IMAGE, OBJECTS], {}, False),
        ([IMAGE, OBJECTS, "SQL_SETUP.SQL", "Cells.csv", "Image.csv"], {OBJECTS: ROW}, False),
        (["Image.csv", "Cells.csv", "notes.sql"], {}, False),
        (["notes.sql", "plate.sqlite"], {}, False),
    ],
)
def test_csv_files_for_mysql_are_known(files: list[str], heads: dict[str, bytes], is_refused: bool) -> None:
    inventory = Inventory.of("/in", [SourceFile(path, 10) for path in files])
    if not is_refused:
        check_no_mysql_export(inventory, heads)
        return
    with pytest.raises(LayoutError, match=r"without a header(.|\n)*MySQL"):
        check_no_mysql_export(inventory, heads)
