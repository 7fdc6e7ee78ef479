"""HTTP: requests, responses, negotiation, problem documents, request ids, the access log."""
