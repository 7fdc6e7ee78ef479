"""For operators: metrics, health, status, traces, and the OpenAPI document."""
