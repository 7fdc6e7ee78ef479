"""One key by its URL: `/api/keys/{key}`. Each request becomes a batch of one key, and goes the way of all batches."""
