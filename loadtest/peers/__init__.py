"""What a Python user would write instead of tarant-kv, as fast as its libraries allow and with the same HTTP contract.

Both keep values as Lua objects and give up what tarant-kv promises beyond that: no exactly-once, no deadline, no bound
on what waits, and an empty object that comes back as an empty list. The benchmark's values are made to survive it.
"""
