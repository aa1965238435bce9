"""The web: a search, pages, and Wikipedia. What they return is treated as strangers' text."""

from agentkit.tools import read_page, web_search, wikipedia

tools = [web_search(), read_page(), wikipedia()]
