"""Names and headers in, a conversion plan out; columns, schemas, joins. Pure functions."""
