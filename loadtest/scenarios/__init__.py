"""Scenarios of real use, as locust users. `loadtest/locustfile.py` is the file for locust.

Each user compares every answer with what it knows to be stored: it has keys of its own, or writes only values that
follow from their keys. When a user stops, it removes what it wrote; only the small hot set of all users remains.
"""
