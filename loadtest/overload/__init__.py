"""More load than the running system can take, and how the system answers it."""
