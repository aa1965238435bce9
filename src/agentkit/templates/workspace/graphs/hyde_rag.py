"""Searches for hypothetical passages instead of the question."""

from agentkit import create_hyde_rag
from graphs.documents import documents

graph = create_hyde_rag(None, documents())
