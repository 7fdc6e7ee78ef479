"""Builds the site of docs/, writes the parts of pages that come from the code, and checks links: `python -m docsite`.

The system does not need this package. The pages are Markdown that can also be read in the repository, without the site.
"""
