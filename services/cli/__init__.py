"""The `warren` command: a client like any other.

Hears the events of goals it watches; says submit, cancel, corpus, memory and supervision commands; remembers nothing
but the bundles it writes on the caller's machine.
"""
