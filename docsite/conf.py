"""Sphinx' configuration. The site loads nothing from other sites: furo uses system fonts, the search is a script."""

from __future__ import annotations

from protocol.version import VERSION

project = "tarant-kv"
release = VERSION
extensions = ["myst_parser"]
root_doc = "index"
source_suffix = {".md": "markdown"}
# Anchors are made as on the repository's web page.
myst_heading_anchors = 4
# Sphinx warns of a reference without a target, and `make docs` makes each warning an error.
nitpicky = True

html_theme = "furo"
html_title = f"tarant-kv {VERSION}"
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
pygments_style = "friendly"
pygments_dark_style = "monokai"
