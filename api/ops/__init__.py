"""For operators: metrics, health, the OpenAPI document."""
