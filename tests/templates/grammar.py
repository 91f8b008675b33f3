"""Random templates by a grammar: mostly valid, often hostile, and the same for the same seed."""

from __future__ import annotations

import random

NAMES = ["a", "b", "l", "o", "n", "x", "row", "loop", "self", "range", "namespace", "missing"]
ATTRIBUTES = [
    "upper",
    "x",
    "items",
    "__class__",
    "__globals__",
    "_field",
    "format",
    "join",
    "split",
    "mro",
    "gi_frame",
]
FILTERS = [
    "upper", "trim", "length", "list", "join(', ')", "first", "last", "sort", "unique", "reverse", "default('d')",
    "replace('a', 'bb')", "truncate(5)", "center(9)", "indent(3)", "wordwrap(7)", "batch(2)", "map('upper')",
    "map(attribute='x')", "attr('__class__')", "tojson", "pprint", "escape", "safe", "int", "float", "abs", "round",
    "sum", "slice(3)", "dictsort", "items", "select", "reject('none')", "groupby('x')", "format(a, b)", "xmlattr",
    "urlencode", "urlize", "striptags", "title", "string", "filesizeformat", "wordcount", "min", "max", "nosuch",
]  # fmt: skip
TESTS = [
    "defined",
    "none",
    "string",
    "number",
    "mapping",
    "sequence",
    "odd",
    "sameas(a)",
    "in l",
    "nosuchtest",
]
LITERALS = [
    "'s'",
    '"t"',
    "0",
    "7",
    "-3",
    "1.5",
    "true",
    "none",
    "[1, 'z']",
    "{'x': 1}",
    "()",
    "'\\u2028'",
    "'\\ud800'",
    "10**6",
]
TEXTS = ["word ", "\n", "é", "{", "}", "%", "#", "{# c #}", "", "  ", "\u2028", "<b>"]


class Grammar:
    """Makes templates of one seed."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def template(self, depth: int = 3) -> str:
        """A template of a few parts; it always reads `a`, so that it is one."""
        parts = [self.part(depth) for _ in range(self.draw.randint(1, 4))]
        text = "".join(parts) + "{{ a }}"
        if self.draw.random() < 0.05:
            cut = self.draw.randrange(len(text))
            return text[:cut] + text[cut + 1 :]
        return text

    def part(self, depth: int) -> str:
        pick = self.draw.random()
        if pick < 0.25 or depth <= 0:
            return self.draw.choice(TEXTS)
        if pick < 0.65:
            return "{{ " + self.expression(depth) + " }}"
        inner, value = self.part(depth - 1), self.expression(depth - 1)
        return self.draw.choice(
            [
                f"{{% if {value} %}}{inner}{{% else %}}y{{% endif %}}",
                f"{{% for x in {value} %}}{inner}{{{{ loop.index }}}}{{% endfor %}}",
                f"{{% set x = {value} %}}{inner}",
                f"{{% set x %}}{inner}{{% endset %}}{{{{ x }}}}",
                f"{{% macro m(x) %}}{inner}{{% endmacro %}}{{{{ m({value}) }}}}",
                f"{{% filter upper %}}{inner}{{% endfilter %}}",
                f"{{% with x = {value} %}}{inner}{{% endwith %}}",
                f"{{% raw %}}{inner.replace('{%', '')}{{% endraw %}}",
                f"{{% call m({value}) %}}{inner}{{% endcall %}}",
                f"{{% include {value} %}}{inner}",
            ]
        )

    def expression(self, depth: int) -> str:  # noqa: PLR0911 - a return a shape
        pick = self.draw.random()
        if depth <= 0 or pick < 0.3:
            return self.draw.choice(self.draw.choice([NAMES, LITERALS]))
        inner = self.expression(depth - 1)
        if pick < 0.5:
            return f"{inner} | {self.draw.choice(FILTERS)}"
        if pick < 0.6:
            return f"{inner}.{self.draw.choice(ATTRIBUTES)}"
        if pick < 0.66:
            return f"{inner}[{self.expression(depth - 1)}]"
        if pick < 0.72:
            return f"{inner}({self.expression(depth - 1)})"
        if pick < 0.78:
            return f"({inner}) is {self.draw.choice(TESTS)}"
        if pick < 0.84:
            return f"({inner} if {self.expression(depth - 1)} else {self.expression(depth - 1)})"
        operator = self.draw.choice(["+", "-", "*", "/", "//", "%", "~", "and", "or", "==", "<", "in"])
        return f"({inner} {operator} {self.expression(depth - 1)})"
