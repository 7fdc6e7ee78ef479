"""A cluster of replica sets on Tarantool 3 and vshard: its configuration, and start, stop and status on one machine.

Parts of `localcluster` supervise the processes. The role in `tarantool-cluster/` defines what an instance does.
"""
