"""A chat template compiled and rendered with a bounded amount of work: it is somebody else's data.

Jinja's sandbox keeps a template away from Python, not from looping and growing without end. Here
whatever runs more than once, and whatever goes through texts or lists, is paid for out of one purse
before it is done. So the same template is refused at the same place on every machine; no clock is
asked. What makes one value out of nothing (`center`, `format`, `**`) is not there at all.
"""

import functools
import json
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from datetime import datetime
from types import CodeType
from typing import Any, NoReturn

import jinja2
from jinja2 import filters, pass_context
from jinja2.ext import loopcontrols
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace

from engines.template_payments import (
    CALL,
    COPIED,
    ROUND,
    UNIT,
    WEIGHED,
    Payments,
    Refused,
    check_number,
)

# Published templates have up to 20,000 characters.
MAX_TEMPLATE_CHARS = 1 << 16
# A unit is a character that is gone through. Published templates take two to fifteen for each of a
# conversation's characters; the worst that was made up took 2 s and 350 MB until it was refused.
MAX_WORK = 1 << 24

_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float"),
    *("int", "items", "last", "length", "list", "lower", "map", "max", "min", "reject"),
    *("rejectattr", "reverse", "safe", "select", "selectattr", "sort", "string", "title", "unique"),
    *("upper", "wordcount"),
)
# These write their value out first.
_WRITING = ("capitalize", "e", "escape", "lower", "safe", "string", "title", "upper", "wordcount")
# These look at none of what is in their items; what they call for each one is paid for there.
_SHALLOW = (
    *("count", "d", "default", "first", "items", "last", "length", "list", "map", "reject"),
    *("rejectattr", "reverse", "select", "selectattr"),
)
# These make an item of each letter of a text.
_LISTING = ("list", "map", "max", "min", "reject", "select", "sort", "unique")
_TEXT_METHODS = (
    *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha"),
    *("isascii", "isdecimal", "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper"),
    *("join", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind"),
    *("rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip"),
    *("swapcase", "title", "upper"),
)
# Searched backwards, or for one of many characters: as long as both lengths multiplied.
_SLOW_METHODS = ("lstrip", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "strip")
_METHODS: tuple[tuple[type, tuple[str, ...]], ...] = (
    (str, _TEXT_METHODS),
    (list, ("count", "index")),
    (tuple, ("count", "index")),
    (dict, ("get", "items", "keys", "values")),
)
_OPEN = (LoopContext, Namespace, Macro, Cycler, Joiner, Undefined)
_PLAIN = (float, Undefined, type(None))
_COLLECTIONS = (list, tuple, set, frozenset, dict, KeysView, ValuesView, ItemsView)
# What Jinja's own code hands on with a call.
_LOCALS = ("_loop_vars", "_block_vars")


def render(source: str, values: Mapping[str, Any]) -> Iterator[str]:
    """What a template makes of some values, piece by piece.

    Raises:
        Refused: it would work or grow without measure, or leave its sandbox.
        jinja2.TemplateSyntaxError: it is no template.
        jinja2.TemplateError: it does not take these values.
    """
    sandbox = _Sandbox()
    code = _compiled(source)
    try:
        template = jinja2.Template.from_code(sandbox, code, sandbox.make_globals(None))
        yield from template.generate(values)
    except jinja2.exceptions.SecurityError as error:
        raise Refused(str(error).rstrip(".")) from error
    except (jinja2.TemplateError, MemoryError):
        raise
    except Exception as error:  # Python's own, on what somebody else wrote.
        raise jinja2.TemplateError(f"{type(error).__name__}: {error}") from error


@functools.lru_cache(maxsize=4)
def _compiled(source: str) -> CodeType:
    """Compiling takes longer than a follow-up question's few tokens do."""
    if len(source) > MAX_TEMPLATE_CHARS:
        raise Refused(f"it has more than {MAX_TEMPLATE_CHARS} characters")
    sandbox = _Sandbox()
    try:
        return sandbox.compile(Payments().visit(sandbox.parse(source)))
    except (jinja2.TemplateError, MemoryError):
        raise
    except Exception as error:  # Python's own compiler, too.
        raise jinja2.TemplateSyntaxError(f"{type(error).__name__}: {error}", 1) from error


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with a purse: one for each rendering."""

    intercepted_binops = frozenset(("+", "-", "*", "/", "//", "%", "**"))

    def __init__(self) -> None:
        # The settings and helpers that Hugging Face's templates are written for. Unoptimised, and
        # with a finaliser that asks for its context: nothing is reckoned while it is compiled.
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=[loopcontrols],
            optimized=False,
            finalize=_written,
        )
        self.left = MAX_WORK
        known: dict[str, Any] = filters.FILTERS
        tests: dict[str, Any] = self.tests
        own: tuple[Any, ...] = (self.indent, self.join, self.replace, self.tojson, self.trim)
        self.filters = {name: self._paid(known[name], name) for name in _FILTERS}
        self.filters |= {function.__name__: function for function in own}
        self.filters |= {ROUND: self.round, WEIGHED: self.weighed, COPIED: self.copied}
        self.tests = {name: self._paid(test, name) for name, test in tests.items()}
        del self.globals["lipsum"]
        self.globals["raise_exception"] = self._raise_exception
        self.globals["strftime_now"] = self._strftime_now

    def spend(self, units: int) -> None:
        """Pay for work that is about to be done."""
        self.left -= max(units, 0)
        if self.left < 0:
            raise Refused("it takes more work than any conversation needs")

    def weigh(self, *values: Any, text: bool = False) -> None:
        """Pay for going through values with all that is in them, as often as it is in there.

        With `text` they are to be written out, and may hold nothing but text, numbers and lists.
        """
        waiting = list(values)
        while waiting:
            value = waiting.pop()
            self.spend(1)
            if isinstance(value, str):
                self.spend(len(value))
            elif isinstance(value, int):
                check_number(value)
            elif isinstance(value, _PLAIN):
                pass
            elif isinstance(value, _COLLECTIONS):
                self.spend(UNIT * len(value))
                waiting.extend(value)
                if isinstance(value, dict):
                    waiting.extend(value.values())
            elif text:
                raise Refused(f"it writes out a {type(value).__name__}")

    def round(self, units: int) -> bool:
        """A round of a loop, or a macro's run."""
        self.spend(units)
        return True

    def weighed(self, value: Any) -> Any:
        """A value that is about to be compared or looked up."""
        self.weigh(value)
        return value

    def copied(self, value: Any) -> Any:
        """A value of which a part is about to be copied."""
        self.spend(_size(value))
        return value

    def _paid(self, function: Callable[..., Any], name: str) -> Callable[..., Any]:
        shallow, writing = name in _SHALLOW, name in _WRITING
        listing = name in _LISTING

        @functools.wraps(function)
        def paid(*args: Any, **named: Any) -> Any:
            for value in (*args, *named.values()):
                if listing and isinstance(value, str):
                    self.spend(UNIT * len(value))
                if shallow:
                    self.spend(_size(value))
                else:
                    self.weigh(value, text=writing)
            result = function(*args, **named)
            return self._taken(list(result) if isinstance(result, Iterator) else result)

        return paid

    def _taken(self, result: Any) -> Any:
        if isinstance(result, int):
            check_number(result)
        self.spend(CALL + _size(result))
        return result

    # What a compiled template calls

    def call(
        __self,
        __context: Context,
        __function: Any,
        *args: Any,
        **named: Any,
    ) -> Any:
        """A call, paid for; a method of a text costs what that takes."""
        given = [*args, *(named[name] for name in named if name not in _LOCALS)]
        __self.weigh(*given)
        text = getattr(__function, "__self__", None)
        if isinstance(text, str):
            __self._pay_method(text, __function.__name__, given)
        elif isinstance(text, dict | list | tuple):
            __self.weigh(text)
        return __self._taken(super().call(__context, __function, *args, **named))

    def _pay_method(self, text: str, name: str, given: list[Any]) -> None:
        texts = [len(value) for value in given if isinstance(value, str)]
        self.spend(len(text) * max(texts, default=1) if name in _SLOW_METHODS else len(text))
        if name == "replace" and len(texts) == 2:
            self.spend(text.count(given[0]) * texts[1])
        if name == "join" and given:
            self.spend(len(text) * len(given[0]))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """An operator; texts and lists grow by them."""
        if operator == "**" or (operator == "%" and isinstance(left, str)):
            raise Refused(f"it uses the operator {operator}")
        for value in (left, right):
            if isinstance(value, int):
                check_number(value)
        if operator == "*":
            for value, times in ((left, right), (right, left)):
                if isinstance(times, int):
                    self.spend(_size(value) * times)
        self.spend(_size(left) + _size(right))
        return super().call_binop(context, operator, left, right)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An item by its key or number."""
        self.weigh(argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Methods by a list: others make texts of any length, or slowly."""
        for kind, names in _METHODS:
            if isinstance(obj, kind):
                return attr in names
        return isinstance(obj, _OPEN) and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """Jinja would let `format` through; a width in its pattern makes a text of any length."""

    # Filters and functions of our own

    def join(self, values: Iterable[Any], d: Any = "", attribute: Any = None) -> str:
        """Jinja's filter, which writes each value out."""
        self.weigh(d, values)
        found = list(values)
        if attribute is not None:
            found = list(map(filters.make_attrgetter(self, attribute), found))
        self.weigh(found, d, text=True)
        between = str(d)
        self.spend(len(between) * len(found))
        return between.join(map(str, found))

    def replace(self, value: Any, old: Any, new: Any, count: int | None = None) -> str:
        """Jinja's filter."""
        self.weigh(value, old, new, text=True)
        text, gone, instead = str(value), str(old), str(new)
        self.spend(text.count(gone) * len(instead))
        return text.replace(gone, instead, -1 if count is None else count)

    def trim(self, value: Any, chars: str | None = None) -> str:
        """Jinja's filter."""
        self.weigh(value, text=True)
        text = str(value)
        self.spend(len(text) * len(chars or " "))
        return text.strip(chars)

    def indent(
        self, text: str, width: int | str = 4, first: bool = False, blank: bool = False
    ) -> str:
        """Jinja's filter."""
        self.weigh(text, text=True)
        lines = str(text).splitlines()
        self.spend((1 + len(lines)) * (len(width) if isinstance(width, str) else width))
        return filters.do_indent(str(text), width, first, blank)

    def tojson(self, value: Any, indent: int | None = None) -> str:
        """Hugging Face's filter: no letter is escaped for HTML."""
        self.weigh(value)
        encoder = json.JSONEncoder(ensure_ascii=False, indent=indent and min(indent, 16))
        found = []
        for piece in encoder.iterencode(value):
            self.spend(UNIT + len(piece))
            found.append(piece)
        return "".join(found)

    def _raise_exception(self, message: Any) -> NoReturn:
        self.weigh(message, text=True)
        raise jinja2.TemplateError(str(message))

    def _strftime_now(self, pattern: str) -> str:
        # Python makes room for 256 characters for each one of the pattern.
        self.spend(256 * len(pattern))
        return datetime.now().astimezone().strftime(pattern)


@pass_context
def _written(context: Context, value: Any) -> Any:
    assert isinstance(context.environment, _Sandbox)
    context.environment.weigh(value, text=True)
    return value


def _size(value: Any) -> int:
    """What it takes to copy a value, without what is in its items."""
    if isinstance(value, str):
        return len(value)
    return UNIT * len(value) if isinstance(value, (*_COLLECTIONS, range)) else 0
