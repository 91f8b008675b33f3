"""Proves from a chat template's syntax tree that it writes every message content verbatim.

The output of such a template is the same frame for all conversations with the same roles, with the contents inserted: nothing
depends on the contents. The proof is an allow-list of uses: a content may be printed, concatenated with other texts, and tested for
its type. Any other use (a filter, a comparison, an assignment, a macro) fails the proof, and the template is then rendered for each
conversation.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateError, nodes

from tutelage.templates.chat_environment import chat_jinja_environment

_TYPE_TESTS = (
    "string",
    "defined",
    "undefined",
    "none",
    "mapping",
    "iterable",
    "sequence",
    "number",
    "boolean",
)
"""Tests that depend on a value's type only; a content is always text."""
_LOOP_ATTRIBUTES = ("first", "last", "index", "index0", "revindex", "revindex0", "length", "depth", "depth0")
_PURE_FUNCTIONS = ("raise_exception", "range", "namespace", "dict", "strftime_now")
"""Functions whose result depends on their arguments only; the clock shows the same instant to every conversation."""
_RANDOM_FILTERS = ("random", "shuffle")
_SPECIAL_NAMES = ("self", "caller", "super", "varargs", "kwargs")


def writes_contents_verbatim(template: str) -> bool:
    """Whether the template is proven to write every message content verbatim or not at all."""
    try:
        return _Proof(chat_jinja_environment().parse(template)).holds()
    except (TemplateError, RecursionError, MemoryError):
        return False


class _Proof:
    def __init__(self, tree: nodes.Template) -> None:
        self._parents: dict[int, nodes.Node] = {}
        self._nodes: list[nodes.Node] = list(self._walk(tree))
        self._list_names = {"messages"}
        self._message_names: set[str] = set()
        while self._collect_names():
            pass

    def holds(self) -> bool:
        return all(self._is_allowed(node) for node in self._nodes)

    def _walk(self, node: nodes.Node) -> Iterator[nodes.Node]:
        yield node
        for child in node.iter_child_nodes():
            self._parents[id(child)] = node
            yield from self._walk(child)

    def _collect_names(self) -> bool:
        """Collect the names of messages and of lists of messages; returns whether there are new ones."""
        count = len(self._list_names) + len(self._message_names)
        for node in self._nodes:
            if (
                isinstance(node, nodes.Assign)
                and self._is_list(node.node)
                and isinstance(node.target, nodes.Name)
            ):
                self._list_names.add(node.target.name)
            if (
                isinstance(node, nodes.For)
                and self._is_list(node.iter)
                and isinstance(node.target, nodes.Name)
            ):
                self._message_names.add(node.target.name)
        return len(self._list_names) + len(self._message_names) > count

    def _is_list(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            return self._is_list(node.node)
        return isinstance(node, nodes.Name) and node.name in self._list_names

    def _is_message(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
            return self._is_list(node.node)
        return isinstance(node, nodes.Name) and node.name in self._message_names

    def _is_allowed(self, node: nodes.Node) -> bool:
        """Whether one node of the template is an allowed use."""
        parent = self._parents.get(id(node))
        if self._is_list(node):
            return self._is_list_use_allowed(node, parent)
        if self._is_message(node):
            return self._is_message_use_allowed(node, parent)
        if isinstance(node, nodes.Name):
            if node.name == "loop":
                return isinstance(parent, nodes.Getattr) and parent.attr in _LOOP_ATTRIBUTES
            return node.name not in _SPECIAL_NAMES
        if isinstance(node, nodes.Call):
            return isinstance(node.node, nodes.Getattr) or (
                isinstance(node.node, nodes.Name) and node.node.name in _PURE_FUNCTIONS
            )
        return not isinstance(node, nodes.Filter | nodes.Test) or node.name not in _RANDOM_FILTERS

    def _is_list_use_allowed(self, node: nodes.Node, parent: nodes.Node | None) -> bool:
        if isinstance(parent, nodes.For):
            # A target of several names would unpack a message.
            return (parent.iter is node and isinstance(parent.target, nodes.Name)) or parent.target is node
        if isinstance(parent, nodes.Assign):
            return isinstance(parent.target, nodes.Name)
        if isinstance(parent, nodes.Getitem):
            return parent.node is node
        return (
            isinstance(parent, nodes.Filter) and parent.name in ("length", "count") and parent.node is node
        ) or (isinstance(parent, nodes.Test) and parent.name in _TYPE_TESTS)

    def _is_message_use_allowed(self, node: nodes.Node, parent: nodes.Node | None) -> bool:
        if isinstance(parent, nodes.For):
            return parent.target is node
        key: object = None
        if isinstance(parent, nodes.Getattr):
            key = parent.attr
        elif (
            isinstance(parent, nodes.Getitem) and parent.node is node and isinstance(parent.arg, nodes.Const)
        ):
            key = parent.arg.value
        elif isinstance(parent, nodes.Test):
            return parent.name in _TYPE_TESTS
        elif isinstance(parent, nodes.Operand):
            # `'name' in message` looks at the keys, which are always role and content.
            compare = self._parents[id(parent)]
            compares_constant = isinstance(compare, nodes.Compare) and isinstance(compare.expr, nodes.Const)
            return compares_constant and parent.op in ("in", "notin")
        if not isinstance(key, str) or key in dir(dict):
            return False
        assert parent is not None
        return key != "content" or self._is_only_output(parent)

    def _is_only_output(self, node: nodes.Node) -> bool:
        """Whether a content is printed and used for nothing else."""
        parent = self._parents.get(id(node))
        if isinstance(parent, nodes.Test):
            return parent.name in _TYPE_TESTS and parent.node is node
        if isinstance(parent, nodes.CondExpr) and parent.test is not node:
            return self._is_only_output(parent)
        if isinstance(parent, nodes.Add | nodes.Concat):
            return self._is_only_output(parent)
        return isinstance(parent, nodes.Output) and self._is_top_level_output(parent)

    def _is_top_level_output(self, node: nodes.Node) -> bool:
        """Whether output here goes to the text, and is not captured by a macro or an assignment."""
        parent = self._parents.get(id(node))
        if parent is None:
            return isinstance(node, nodes.Template)
        return isinstance(parent, nodes.If | nodes.For | nodes.Template) and self._is_top_level_output(parent)
