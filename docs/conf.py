"""How the site is built: `make docs`, without network."""

import sys
import tomllib
from pathlib import Path

from pygments.lexers import BashLexer
from sphinx.highlighting import lexers

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "agentkit"
version = release = _project["version"]
copyright = "the agentkit authors"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docs._ext.site",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_ext"]

html_theme = "furo"
html_title = f"agentkit {version}"
html_static_path = ["_static"]
html_css_files = ["agentkit.css"]
html_js_files = ["agentkit.js"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # it fetches pages, which a browser forbids in a folder
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#3151b5", "color-brand-content": "#3151b5"},
    "dark_css_variables": {"color-brand-primary": "#93adff", "color-brand-content": "#93adff"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
lexers["console"] = BashLexer()  # commands without prompts, which the other one takes for output

# docstrings are written like the README: a single backtick is code
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Source", "notes_style")]

nitpicky = True
# what other projects document, which cannot be looked up without network
_OTHERS = (
    *("annotated_types", "collections", "datetime", "pathlib", "re", "types", "typing_extensions"),
    *("dspy", "ladybug", "langchain", "langchain_core", "langgraph", "llama_index", "mcp", "neo4j"),
    *("pandas", "polars", "pydantic", "sqlalchemy", "starlette"),
)
nitpick_ignore_regex = [("py:.*", rf"({'|'.join(_OTHERS)})\.[\w.]+")]
