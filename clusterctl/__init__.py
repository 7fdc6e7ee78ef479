"""A cluster of replica sets on Tarantool 3 and vshard: its configuration, and start, stop and status on one machine.

The processes are supervised as those of `localcluster` are, whose parts are used here. What an instance does is the
role in `tarantool-cluster/`.
"""
