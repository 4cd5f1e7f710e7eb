"""How a message travels. With `shared.runtime` the only home of FastStream and aio-pika.

`topology.py` is the wire map; `consume.py` is the only place that settles a message.
"""
