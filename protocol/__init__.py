"""What the api and the workers must agree on.

It holds the settings, the Redis names and connections, the bucket hash with the shard map, and the binary formats of
chunks, frames and replies. It knows nothing of HTTP and does not talk to Tarantool: `api` and `worker` import this
package, and it imports neither of them.
"""
