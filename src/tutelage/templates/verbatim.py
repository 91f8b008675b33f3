"""Whether a chat template writes what was said exactly as it stands, shown from the template's text alone.

Such a template's output is the same frame for all conversations with the same roles, with the contents put in: nothing
depends on what a content says. The proof is by list: a content may be put out, joined with other texts, and asked for its
type. Everything that is not on the list (a filter, a comparison, an assignment, a macro) is no proof, and the
template is then rendered for each conversation.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import TemplateError, nodes

from tutelage.templates.chat_environment import environment

_TYPES = ("string", "defined", "undefined", "none", "mapping", "iterable", "sequence", "number", "boolean")
"""Tests that look at a value's type alone; a content is always text."""
_LOOP = ("first", "last", "index", "index0", "revindex", "revindex0", "length", "depth", "depth0")
_CALLS = ("raise_exception", "range", "namespace", "dict", "strftime_now")
"""Functions whose result depends on their words alone: the clock shows the same instant to every conversation."""
_RANDOM = ("random", "shuffle")
_STRANGE = ("self", "caller", "super", "varargs", "kwargs")


def verbatim(template: str) -> bool:
    """Whether it is shown that the template writes every content as it stands, or not at all."""
    try:
        return _Proof(environment().parse(template)).holds()
    except (TemplateError, RecursionError, MemoryError):
        return False


class _Proof:
    def __init__(self, tree: nodes.Template) -> None:
        self._above: dict[int, nodes.Node] = {}
        self._all: list[nodes.Node] = list(self._walk(tree))
        self._lists = {"messages"}
        self._ones: set[str] = set()
        while self._learn():
            pass

    def holds(self) -> bool:
        return all(self._good(node) for node in self._all)

    def _walk(self, node: nodes.Node) -> Iterator[nodes.Node]:
        yield node
        for child in node.iter_child_nodes():
            self._above[id(child)] = node
            yield from self._walk(child)

    def _learn(self) -> bool:
        """Find the names of messages and of lists of them; whether there were new ones."""
        before = len(self._lists) + len(self._ones)
        for node in self._all:
            if (
                isinstance(node, nodes.Assign)
                and self._is_list(node.node)
                and isinstance(node.target, nodes.Name)
            ):
                self._lists.add(node.target.name)
            if (
                isinstance(node, nodes.For)
                and self._is_list(node.iter)
                and isinstance(node.target, nodes.Name)
            ):
                self._ones.add(node.target.name)
        return len(self._lists) + len(self._ones) > before

    def _is_list(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
            return self._is_list(node.node)
        return isinstance(node, nodes.Name) and node.name in self._lists

    def _is_one(self, node: nodes.Node) -> bool:
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Slice):
            return self._is_list(node.node)
        return isinstance(node, nodes.Name) and node.name in self._ones

    def _good(self, node: nodes.Node) -> bool:
        """Whether one place of the template is on the list."""
        above = self._above.get(id(node))
        if self._is_list(node):
            return self._good_list(node, above)
        if self._is_one(node):
            return self._good_one(node, above)
        if isinstance(node, nodes.Name):
            if node.name == "loop":
                return isinstance(above, nodes.Getattr) and above.attr in _LOOP
            return node.name not in _STRANGE
        if isinstance(node, nodes.Call):
            return isinstance(node.node, nodes.Getattr) or (
                isinstance(node.node, nodes.Name) and node.node.name in _CALLS
            )
        return not isinstance(node, nodes.Filter | nodes.Test) or node.name not in _RANDOM

    def _good_list(self, node: nodes.Node, above: nodes.Node | None) -> bool:
        if isinstance(above, nodes.For):
            # A target in several names takes a message apart.
            return (above.iter is node and isinstance(above.target, nodes.Name)) or above.target is node
        if isinstance(above, nodes.Assign):
            return isinstance(above.target, nodes.Name)
        if isinstance(above, nodes.Getitem):
            return above.node is node
        return (
            isinstance(above, nodes.Filter) and above.name in ("length", "count") and above.node is node
        ) or (isinstance(above, nodes.Test) and above.name in _TYPES)

    def _good_one(self, node: nodes.Node, above: nodes.Node | None) -> bool:
        if isinstance(above, nodes.For):
            return above.target is node
        key: object = None
        if isinstance(above, nodes.Getattr):
            key = above.attr
        elif isinstance(above, nodes.Getitem) and above.node is node and isinstance(above.arg, nodes.Const):
            key = above.arg.value
        elif isinstance(above, nodes.Test):
            return above.name in _TYPES
        elif isinstance(above, nodes.Operand):
            # `'name' in message` looks at the keys, which are always role and content.
            compare = self._above[id(above)]
            asked = isinstance(compare, nodes.Compare) and isinstance(compare.expr, nodes.Const)
            return asked and above.op in ("in", "notin")
        if not isinstance(key, str) or key in dir(dict):
            return False
        assert above is not None
        return key != "content" or self._put_out(above)

    def _put_out(self, node: nodes.Node) -> bool:
        """Whether a content goes into the text and nowhere else."""
        above = self._above.get(id(node))
        if isinstance(above, nodes.Test):
            return above.name in _TYPES and above.node is node
        if isinstance(above, nodes.CondExpr) and above.test is not node:
            return self._put_out(above)
        if isinstance(above, nodes.Add | nodes.Concat):
            return self._put_out(above)
        return isinstance(above, nodes.Output) and self._in_the_open(above)

    def _in_the_open(self, node: nodes.Node) -> bool:
        """Whether what is put out here is put out by the template, not caught by a macro or an assignment."""
        above = self._above.get(id(node))
        if above is None:
            return isinstance(node, nodes.Template)
        return isinstance(above, nodes.If | nodes.For | nodes.Template) and self._in_the_open(above)
