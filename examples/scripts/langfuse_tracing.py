"""A graph's runs in Langfuse: every step and search, each prompt with its reply and tokens.

It needs `pip install "agentkit-graphs[index,ingest,local]" langfuse`, a Langfuse server, and a
project's keys: LANGFUSE_BASE_URL, LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY. Start it:

    python -m examples.scripts.langfuse_tracing "How long may I keep a book?"
"""

import sys

from langfuse import get_client
from langfuse.langchain import CallbackHandler

from examples.scripts.library import library_graph

if __name__ == "__main__":
    graph = library_graph().with_config(callbacks=[CallbackHandler()])
    print(graph.invoke({"question": sys.argv[1]})["answer"])
    get_client().flush()
