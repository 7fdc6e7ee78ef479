"""The whole system on one machine: Redis, shards, workers and the api, supervised.

It knows which programs there are, with their ports, files and environment, starts and stops them through supervisord,
and waits until they are ready. `make up`, the tests and the benchmark all use `Cluster`.
"""
