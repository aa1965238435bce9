"""What each route over the examples can answer."""

DESCRIPTIONS = {
    "documents": "The Harbour Library: opening hours, cards, loans, fees, rooms, printing, events, "
    "rules for visitors.",
    "shop": "The database of a music shop: customers, orders and revenue, employees, artists, "
    "albums, tracks, genres, playlists.",
    "network": "A graph of research: researchers and their advisers, institutions, papers, their "
    "authors and citations, topics, journals and conferences, grants.",
    "calculator": "Calculations with numbers, dates and units that stand in the question.",
    "chat": "Greetings, thanks and small talk, and what this assistant is.",
}
