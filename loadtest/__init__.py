"""Load on a running system: the benchmark (`bench`), what it compares with (`peers`), and locust scenarios.

Nothing of the product imports this package. All load goes to 127.0.0.1, or to where the caller points locust.
"""
