"""Trees that are refused, each with the line and the field that is wrong."""

from __future__ import annotations

import pytest

from services.watchdog.tree_file import TreeError, parse_tree

GROUP = '[[children]]\ngroup = "g"\nchildren = [{ service = "memory" }]\n'
KNOWN_TO_A_GROUP = (
    "unknown field; known here: auto_shutdown, boot, children, group, max_restarts, on_exhausted, period_s, "
    "restart, significant, strategy"
)

BAD = [
    ('strategy = "one_for_two"\n' + GROUP,
     "line 1: strategy: must be one of one_for_one, one_for_all, rest_for_one, not 'one_for_two'"),
    ("\nmax_restarts = -1\n" + GROUP, "line 2: max_restarts: must be a whole number of at least 0, not -1"),
    ("max_restarts = true\n" + GROUP, "line 1: max_restarts: must be a whole number of at least 0, not True"),
    ("period_s = 0\n" + GROUP, "line 1: period_s: must be a whole number of at least 1, not 0"),
    ("period_s = 2.5\n" + GROUP, "line 1: period_s: must be a whole number of at least 1, not 2.5"),
    (GROUP + 'max_restart = 3\n', f"line 4: children.0.max_restart: {KNOWN_TO_A_GROUP}"),
    (GROUP + 'shutdown_ms = 5\n', f"line 4: children.0.shutdown_ms: {KNOWN_TO_A_GROUP}"),
    (GROUP + 'restart = "always"\n',
     "line 4: children.0.restart: must be one of permanent, transient, temporary, not 'always'"),
    ('on_exhausted = "ignore"\n' + GROUP, "line 1: on_exhausted: must be one of escalate, quarantine, not 'ignore'"),
    ("auto_shutdown = true\n" + GROUP,
     "line 1: auto_shutdown: must be one of never, any_significant, all_significant, not True"),
    ('boot = "parallel"\n' + GROUP, "line 1: boot: must be one of in_order, together, not 'parallel'"),
    ("", "line 1: children: a group needs at least one child"),
    ("\n\nchildren = []\n", "line 3: children: a group needs at least one child"),
    ('children = "memory"\n', "line 1: children: must be a list of tables"),
    ('children = ["memory"]\n', "line 1: children: must be a list of tables"),
    (GROUP + '[[children]]\ngroup = "empty"\n', "line 4: children.1.children: a group needs at least one child"),
    ("children = [{ replicas = 2 }]", "line 1: children.0: each child names either a group or a service"),
    ('children = [\n{ service = "memory", group = "g" }]',
     "line 2: children.0: each child names either a group or a service"),
    ('children = [{ service = "Memory" }]', "line 1: children.0.service: must be a lower-case name, not 'Memory'"),
    ("children = [{ service = 3 }]", "line 1: children.0.service: must be a lower-case name, not 3"),
    ('children = [\n  { service = "memory" },\n  { service = "writer", shutdown_ms = "soon" },\n]',
     "line 3: children.1.shutdown_ms: must be a whole number of at least 0, not 'soon'"),
    ('children = [{ service = "memory", start_timeout_s = 0 }]',
     "line 1: children.0.start_timeout_s: must be a whole number of at least 1, not 0"),
    ('children = [{ service = "memory", replicas = 0 }]',
     "line 1: children.0.replicas: must be a whole number of at least 1, not 0"),
    ('children = [{ service = "memory", only = "podman" }]',
     "line 1: children.0.only: must be process or docker, not 'podman'"),
    ('children = [{ service = "memory", command = "python" }]',
     "line 1: children.0.command: must be a list of words, not 'python'"),
    ('children = [{ service = "memory", significant = "yes" }]',
     "line 1: children.0.significant: must be true or false, not 'yes'"),
    ('auto_shutdown = "any_significant"\nchildren = [{ service = "memory", significant = true }]',
     "line 2: children.0.significant: not with restart permanent: such a child never ends"),
    ('children = [{ service = "job", restart = "transient", significant = true }]',
     "line 1: children.0.significant: its group has auto_shutdown never, so it signifies nothing"),
    ('children = [{ service = "memory" }, { service = "memory" }]',
     "line 1: children.1.service: child memory-1 is declared twice"),
    (GROUP + '[[children]]\ngroup = "h"\nchildren = [{ service = "memory" }]\n',
     "line 6: children.1.children.0.service: child memory-1 is declared twice"),
    (GROUP + GROUP.replace("memory", "writer"), "line 5: children.1.group: group g is declared twice"),
    (GROUP.replace('"g"', '"root"'), "line 2: children.0.group: group root is declared twice"),
    (GROUP + "max_restarts = 3\nmax_restarts = 4\n", "line 5, column 17: Cannot overwrite a value"),
    ("strategy = one_for_one\n" + GROUP, "line 1, column 12: Invalid value"),
    ('\nchildren = [{ service = "a" ', "line 2: Unclosed inline table (at end of document)"),
    ('# strategy = "x"\nboot = "in_order" # strategy = "y"\nstrategy = "z"\n' + GROUP,
     "line 3: strategy: must be one of one_for_one, one_for_all, rest_for_one, not 'z'"),
    ('children = [{ service = "a", command = ["{", "replicas = 1"] },\n{ service = "b", replicas = "y" }]',
     "line 2: children.1.replicas: must be a whole number of at least 1, not 'y'"),
    ('[[children]]\ngroup = "g"\n[[children.children]]\nservice = "a"\n[[children.children]]\nservice = "b"\n'
     '[[children]]\ngroup = "h"\n[[children.children]]\nservice = "c"\n[[children.children]]\nservice = "d"\n'
     'replicas = "many"\n',
     "line 13: children.1.children.1.replicas: must be a whole number of at least 1, not 'many'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_a_bad_tree_is_refused_with_line_and_field(text: str, message: str) -> None:
    with pytest.raises(TreeError) as refused:
        parse_tree(text, source="tree.toml")
    assert str(refused.value) == f"tree.toml, {message}"
