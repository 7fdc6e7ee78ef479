"""One key by its URL: `/api/keys/{key}`. Each request becomes a batch of one key and is run like all batches."""
