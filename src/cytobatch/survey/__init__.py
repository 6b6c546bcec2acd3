"""The actual content of a plate's files: schemas, image sets, valid exports; platemaps."""
