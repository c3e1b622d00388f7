"""Benchmarks: they print tables, and one JSON object as their last line; they assert nothing."""
