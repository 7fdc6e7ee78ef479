"""Scans of all shards in the order of the keys: pages, exports as a stream, and imports of exported lines."""
