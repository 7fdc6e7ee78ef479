"""More load than the running system can serve, and how the system answers it."""
