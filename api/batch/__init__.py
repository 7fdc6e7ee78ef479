"""Batches: decodes them, splits them into chunks, runs them, and makes the answer from the outcomes."""
