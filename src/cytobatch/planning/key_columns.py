"""Names of the columns of key tables, by which rows are joined.

They are short because they stand in SQL, and because no column of a plate has such a name.
"""

EXPORT = "e"
"""The export's index in the plan."""
TABLE = "t"
"""TableNumber, as text."""
IMAGE = "i"
"""ImageNumber."""
OBJECT = "o"
"""The object number."""
ROW = "r"
"""The row's index in its table."""
IMAGE_SET = "k"
"""A text key of an image set, where a source does not number images."""
