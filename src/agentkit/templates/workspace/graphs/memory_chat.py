"""A conversation that remembers: set `user` in the context, and it knows them in every thread."""

from agentkit import create_memory_chat

graph = create_memory_chat(None)
