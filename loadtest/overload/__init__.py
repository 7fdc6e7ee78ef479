"""More load than the running system can take, and what it does about it."""
