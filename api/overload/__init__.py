"""Protection against overload: what is admitted, what waits, what is refused. It knows nothing of HTTP messages."""
