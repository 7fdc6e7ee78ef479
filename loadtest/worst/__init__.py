"""The worst request of each kind that is within every limit, and how long another client's small read waits beside
it.
"""
