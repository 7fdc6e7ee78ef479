"""What a Python user would write instead of tarant-kv, as fast as its libraries allow and with the same HTTP contract.

Both systems keep values as Lua objects, and do not have what tarant-kv promises beyond that: no exactly-once, no
deadline, no bound on waiting requests. An empty object comes back as an empty list; the benchmark uses values that
survive this.
"""
