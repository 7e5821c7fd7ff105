"""Sphinx: ``make docs`` builds these pages into docs/build, and a warning is an error."""

from __future__ import annotations

from importlib import metadata

project = "partae"
author = "The authors of partae"
release = metadata.version("partae")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["build"]
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 2
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say shapes and ranges, which types do not
html_theme = "furo"
html_title = "partae"
html_copy_source = False
