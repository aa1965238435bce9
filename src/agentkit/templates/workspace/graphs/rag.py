"""Answers from documents, with checked citations."""

from agentkit import create_rag
from graphs.documents import documents

graph = create_rag(None, documents())
