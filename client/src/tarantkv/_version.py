"""The version of the client. Stated here alone."""

VERSION = "0.1.0"
