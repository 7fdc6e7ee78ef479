"""Sends chunks to the shards over Redis streams, and takes their outcomes back."""
