"""What a Python user would write instead of tarant-kv, as fast as its libraries allow and with the same HTTP contract.

Both systems store values as Lua objects, and do not have what tarant-kv promises beyond that: exactly once, deadlines,
and a bound on waiting requests. An empty object is returned as an empty list; the benchmark uses values that do not
change like that.
"""
