"""The whole system on one machine: Redis, shards, workers and the api, supervised.

Lives here: which programs there are, their ports, files and environment, starting and stopping them through
supervisord, and waiting until they are ready. `make up`, the tests and the benchmark all use `Cluster`.
Does not live here: what the programs do. Nothing is imported from `api` or `worker`; they are started as commands.
"""
