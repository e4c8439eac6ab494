"""A parsed chat template with payments put in where Jinja's sandbox has no place for them.

What is refused outright is found here too, before anything of it is compiled.
"""

from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.visitor import NodeTransformer

# Filters that no template can name; `engines.chat_template` has them.
ROUND, WEIGHED, COPIED = " round", " weighed", " copied"
# What a part of a template costs, or an item of a list; and what a call does, in characters.
UNIT, CALL = 16, 128
_MAX_BITS = 64
_REFUSED = (
    *(nodes.Block, nodes.Extends, nodes.Include, nodes.Import, nodes.FromImport),
    *(nodes.EvalContextModifier, nodes.ScopedEvalContextModifier),
)


class Refused(jinja2.TemplateError):
    """A template does what none has to: works or grows without measure, or leaves its sandbox."""


def check_number(value: int) -> None:
    """Refuse a number that is not reckoned with in one step of the processor."""
    if value.bit_length() > _MAX_BITS:
        raise Refused("it reckons with numbers of any length")


class Payments(NodeTransformer):
    """Puts the payments into a parsed template that Jinja's sandbox has no place for."""

    def visit(self, node: nodes.Node, *args: Any, **named: Any) -> Any:
        """Refuse what reaches for other templates, or for Jinja's own settings."""
        if isinstance(node, _REFUSED):
            raise Refused(
                f"it uses {type(node).__name__}, which belongs to other kinds of templates"
            )
        return super().visit(node, *args, **named)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Each round pays for the parts of the loop's body, also one that its test leaves out."""
        payment = _payment(node)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(payment, lineno=node.lineno))
        if node.test is not None:
            node.test = nodes.And(payment, node.test, lineno=node.lineno)
        return node

    def visit_Macro(self, node: nodes.Macro | nodes.CallBlock) -> nodes.Node:
        """So does each run of a macro."""
        payment = _payment(node)
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(payment, lineno=node.lineno))
        return node

    visit_CallBlock = visit_Macro

    def visit_TemplateData(self, node: nodes.TemplateData) -> nodes.Node:
        """The template's own text goes through the finaliser like any other."""
        return nodes.Const(node.data, lineno=node.lineno)

    def visit_Const(self, node: nodes.Const) -> nodes.Node:
        """Numbers are short from the beginning."""
        if isinstance(node.value, int):
            check_number(node.value)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`a ~ b` is what joins them."""
        self.generic_visit(node)
        return _filter("join", nodes.List(node.nodes, lineno=node.lineno))

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        """Comparing goes through both sides, and through a list that holds itself many times."""
        self.generic_visit(node)
        node.expr = _filter(WEIGHED, node.expr)
        for operand in node.ops:
            operand.expr = _filter(WEIGHED, operand.expr)
        return node

    def visit_Pair(self, node: nodes.Pair) -> nodes.Node:
        """A key of a dictionary is hashed."""
        self.generic_visit(node)
        node.key = _filter(WEIGHED, node.key)
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """A slice is a copy."""
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filter(COPIED, node.node)
        return node


def _payment(node: nodes.Node) -> nodes.Expr:
    parts = sum(1 for _ in node.find_all(nodes.Node))
    return _filter(ROUND, nodes.Const(UNIT * parts, lineno=node.lineno))


def _filter(name: str, value: nodes.Expr) -> nodes.Expr:
    return nodes.Filter(value, name, [], [], None, None, lineno=value.lineno)
