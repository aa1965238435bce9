"""Answers from a property graph, which is only read."""

from agentkit import create_text_to_cypher
from graphs.network import network

graph = create_text_to_cypher(None, network())
