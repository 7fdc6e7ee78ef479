"""The version of the client, defined only here."""

VERSION = "0.1.0"
