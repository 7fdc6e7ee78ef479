"""Protection against overload: decides which requests start, wait, or are rejected. It knows nothing of HTTP."""
