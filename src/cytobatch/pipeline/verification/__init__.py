"""Verification: what is published, held against its report and, derived again by other code, against its source."""
