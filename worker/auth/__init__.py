"""Who asks: API keys, tokens and the bootstrap admin's password, each checked against what the deployment keeps.

Unaware of the store, of the settings and of HTTP: it gets headers as text and what it needs as arguments.
"""
