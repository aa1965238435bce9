"""What the other graphs of this app read: documents, a database and a property graph."""

from agentkit.tools import graph_tools, search_documents, sql_tools
from graphs.database import database
from graphs.documents import documents
from graphs.network import network

tools = [search_documents(documents()), *sql_tools(database()), *graph_tools(network())]
