"""What services say to each other: frozen pydantic models, no I/O, one file per conversation.

`catalogue.py` lists them all; `message.py` says how a class becomes a type name and a routing key.
"""
