"""Load on a running system: the benchmark (`bench`) and the systems it compares with (`peers`), overload, scenarios.

The product imports nothing from this package. All load goes to 127.0.0.1, or to the address that the caller gives
locust.
"""
