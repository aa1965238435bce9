"""Answers from a SQL database, which is only read."""

from agentkit import create_text_to_sql
from graphs.database import database

graph = create_text_to_sql(None, database())
