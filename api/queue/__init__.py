"""The way of chunks to the shards, over Redis streams, and of outcomes back."""
