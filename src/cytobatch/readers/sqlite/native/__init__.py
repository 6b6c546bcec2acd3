"""SQLite tables decoded with NumPy from the pages of their files.

SQLite hands out one value at a time, and looks for each through a cache of pages. A row of 2,000 columns lies on five
pages: SQLite takes ten times as long for it as this package, which decodes the same column of many rows at once.

From a file to Arrow columns, a module for each step:

1. `pages`: a database file is a sequence of pages of one size. Its header, the first 100 bytes, has the page size, the
   text encoding and a counter of changes. Runs of pages are read into one buffer of the thread.
2. `btree`: a table is a b-tree of pages. Interior pages name the pages below them; the leaves, all equally deep, hold
   the rows in the order of their row ids. A leaf has a cell for each row: its size, its row id and its record. A record
   that is too large for its leaf continues on overflow pages, each of which names the next one. The records of some
   leaves are copied into one matrix of bytes, a row for each.
3. `serial_types`: a record has a header with a serial type for each value (null, integer of 1 to 8 bytes, float, text
   or blob of a length), and then the values. The serial types of all rows are parsed at once.
4. `records`: lengths and offsets of all values follow from the serial types. The values are gathered column by column
   into Arrow arrays.
5. `scan`: a whole table is streamed in chunks of neighbouring leaves that threads decode side by side, or chosen rows
   are read by their number, where a table is too large for memory.

`arrays` has the array types of all of them. The file format: https://www.sqlite.org/fileformat2.html

This is a reader for the tables of nearly all files, not for every feature of the format. It raises FastPathUnavailable
where SQLite itself must read the table: a write-ahead log, another text encoding than UTF-8, a row id with a name
(INTEGER PRIMARY KEY), a table WITHOUT ROWID, a view, generated columns, columns added later, damaged pages, or a file
that changes while it is read. The caller then reads the table by DuckDB or SQLite (`readers.sqlite.read`), which report
the defect. What this reader returns is what SQLite returns: tests compare the two for arbitrary rows and page sizes.
"""
