"""Makes the site of docs/, writes what of it comes from the code, and checks its links: `python -m docsite`.

Nothing here is part of the system: the pages stay Markdown that a reader of the repository can follow without the site.
"""
