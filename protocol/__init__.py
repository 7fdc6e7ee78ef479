"""What the api and the workers agree on.

Here live the settings, the Redis names and connections, the bucket hash with the shard map, and the binary
formats of chunks, frames and replies. Nothing here knows HTTP, and nothing here talks to Tarantool: `api` and
`worker` import this package, it imports neither.
"""
