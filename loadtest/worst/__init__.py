"""The worst request of each kind that is within every limit, and how long it makes another client's small read wait."""
