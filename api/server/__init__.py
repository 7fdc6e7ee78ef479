"""The connections: what a client may send to this process, and when each wait ends; how the process starts and
stops.
"""
