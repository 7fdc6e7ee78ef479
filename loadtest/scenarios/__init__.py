"""Scenarios of real use, as locust users; `loadtest/locustfile.py` is what locust is given.

Every answer is compared with what the user knows to be stored: each has keys of its own, or writes only values that
follow from their keys. What a user writes it removes when it stops; only the small hot set that all share stays.
"""
