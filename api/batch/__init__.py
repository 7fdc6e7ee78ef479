"""Batches: decoding, splitting into chunks, running, and the answer made of the outcomes."""
