"""The site: `make docs` builds it from the Markdown pages and the docstrings."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version as version_of
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parents[1]))

# Modules of Django's kind are imported for their docstrings, and ask for settings meanwhile.
settings.configure(INSTALLED_APPS=["django.contrib.contenttypes"])
django.setup()

project = "airlock"
author = "the airlock authors"
project_copyright = "the airlock authors"
release = version_of("airlock-effects")
version = release

extensions = [
    "docs.arguments",
    "docs.names",
    "docs.pages",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_external_toc",
    "sphinxcontrib.mermaid",
]
# The inventories of other projects are fetched from their sites. The build of `make test` has to
# work offline, and must not fail because another site does: only a published build asks for them.
if os.environ.get("AIRLOCK_DOCS_INTERSPHINX"):
    extensions.append("sphinx.ext.intersphinx")
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "attrs": ("https://www.attrs.org/en/stable", None),
    "django": (
        "https://docs.djangoproject.com/en/stable",
        "https://docs.djangoproject.com/en/stable/_objects",
    ),
    "celery": ("https://docs.celeryq.dev/en/stable", None),
    "sqlalchemy": ("https://docs.sqlalchemy.org/en/20", None),
}

external_toc_path = "_toc.yml"
nitpicky = True
# What belongs to others is a link only where intersphinx is on. A name of airlock has to be found.
nitpick_ignore_regex = [
    (r"py:.*", r"(?!airlock\b).*"),
    (r"py:.*", r"airlock\.[\w.]+\.([CFPTR]|R_co|\w+T|\w+T_contra)"),  # type variables
]
# Objects that a program is given and hands on; no program names their classes.
nitpick_ignore = [
    ("py:class", f"airlock.{name}")
    for name in (
        "dispatch.Recorder",
        "emissions.buffer.BufferMark",
        "emissions.emission.Emission",
        "emissions.flat.Flat",
        "emissions.region.Region",
        "emissions.wave.Wave",
        "facts.Explained",
        "handlers.table.Binding",
        "integrations.asgi.connection.Connection",
        "integrations.asgi.connection.Response",
        "integrations.celery.calls.InContext",
        "integrations.django.counting.Counts",
        "integrations.sqlite3.Transactions",
        "migration.celery.call.Call",
        "policies.policy.Decides",
        "policies.policy.Each",
        "policies.policy.Named",
        "policies.recorder.Recorder",
        "outbox.database.Cursor",
        "release.Fate",
        "scopes.blocks.RegionBlock",
        "testing.queues.arrivals.Arrivals",
        "testing.queues.failures.Failures",
    )
]

myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

# The diagrams are small; mermaid.js comes from its CDN, and without it the source is shown.
mermaid_fullscreen = False
mermaid_height = "auto"

autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "class"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
add_module_names = False
toc_object_entries_show_parents = "hide"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"airlock {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
pygments_style = "friendly"
pygments_dark_style = "monokai"
