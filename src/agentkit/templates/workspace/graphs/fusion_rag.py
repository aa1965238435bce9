"""Searches for several wordings of the question and fuses what is found."""

from agentkit import create_fusion_rag
from graphs.documents import documents

graph = create_fusion_rag(None, documents())
