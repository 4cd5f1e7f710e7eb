"""The supervisor. Hears list_children, stop_service, release_service, kill_service, scale_service,
describe_tree, reload_tree.

Says child_died. Remembers, in files under `$WARREN_HOME/run`, what runs, what is held and what was restarted: it must
work with broker and database down. `supervision.py` is the thinking; engines run processes or containers.
"""
