"""A chat template is somebody else's: it renders as Jinja renders it, or it is refused in time."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engines.chat_template import MAX_TEMPLATE_CHARS, render
from engines.template_payments import Refused
from tests.golden import CHECKPOINTS, DATA

TURNS = [
    {"role": "system", "content": " Be kind. "},
    {"role": "user", "content": "<video>\nWho is it, and <b>why</b>?\n"},
    {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nMe."},
    {"role": "user", "content": "Ü – \N{SNOWMAN}"},
]
THINKING = (Path(__file__).parents[1] / "fuzz" / "template.jinja").read_text("utf-8")
PLAIN = {
    "data, blocks and white space": "a\n  {% if true %}\n  b {{- ' c ' -}} d\n  {% endif %}\ne",
    "loops": "{% for m in messages %}{{ loop.index }}{{ loop.first }}{{ loop.last }}"
    "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{% else %}none{% endfor %}",
    "a loop with a test": "{% for m in messages if m.role != 'user' %}{{ m.content }}{% endfor %}",
    "no round": "{% for m in [] %}{{ m }}{% else %}none{% endfor %}",
    "breaks": "{% for m in messages %}{% if loop.index0 > 1 %}{% break %}{% endif %}"
    "{% if loop.first %}{% continue %}{% endif %}{{ m.role }}{% endfor %}",
    "recursive": "{% for a in [1, [2, [3]]] recursive %}{% if a is number %}{{ a }}{% else %}"
    "({{ loop(a) }}){% endif %}{% endfor %}",
    "values": "{{ none }}{{ true }}{{ 1.5 }}{{ 7 }}{{ undefined_name }}{{ [1, 'a', {'b': none}] }}",
    "operators": "{{ 7 % 2 }} {{ 2 * 3 }} {{ 7 // 2 }} {{ 7 / 2 }} {{ 3 - 5 }} {{ '-' * 3 }}"
    "{{ [1] * 2 + [3] }}{{ -4 }}{{ 1 < 2 <= 2 }}{{ 'a' in 'abc' }}{{ 3 not in [1, 2] }}",
    "joined": "{{ 1 ~ 'a' ~ none ~ [2] ~ undefined_name }}",
    "slices": "{{ messages[1:][0].role }}{{ 'abcdef'[::-1] }}{{ 'abc'[-1] }}{{ (1, 2, 3)[:2] }}",
    "macros": "{% macro m(a, b='x') %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}"
    "{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ m(1) }}{{ m(1, 2, 3, c=4) }}"
    "{% call m('a') %}inside{% endcall %}",
    "sets": "{% set x %}a{{ 1 }}{% endset %}{% set y, z = 1, 2 %}{{ x }}{{ y }}{{ z }}"
    "{% with q = 3 %}{{ q }}{% endwith %}{% filter upper %}a{{ x }}{% endfilter %}",
    "text filters": "{{ ' a ' | trim }}{{ 'xax' | trim('x') }}{{ 'ab' | upper }}{{ 'a b' | title }}"
    "{{ 'aXa' | replace('a', 'bb') }}{{ 'aa' | replace('a', 'b', 1) }}{{ '<&' | e }}"
    "{{ 'a\nb\n\nc' | indent }}{{ 'a\nb' | indent(2, true) }}{{ 'a\nb' | indent('> ') }}"
    "{{ 'a b c' | wordcount }}{{ 5 | string }}{{ 'a' | safe }}{{ 'aB' | capitalize | lower }}",
    "list filters": "{{ [1, 2] | join(', ') }}{{ messages | map(attribute='role') | join }}"
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
    "{{ messages | rejectattr('role', 'in', ['user', 'system']) | map('first') | list }}"
    "{{ [3, 1, 2, 1] | sort | unique | list }}{{ [0, 1] | select | list }}{{ [3, 4] | max }}"
    "{{ {'b': 1, 'a': 2} | dictsort }}{{ ['a'] | map('upper') | list }}{{ 'abc' | reverse }}"
    "{{ [1, 2] | last }}{{ 'ab' | list }}{{ {'a': 1} | items | list }}{{ messages | count }}",
    "other filters": "{{ x | default('d') }}{{ '' | d('e', true) }}{{ '7' | int }}"
    "{{ 'x' | int(3) }}{{ '1.5' | float }}{{ -2 | abs }}",
    "methods": "{{ 'a,b'.split(',') }}{{ 'a-b-c'.rsplit('-', 1) }}{{ ','.join(['a', 'b']) }}"
    "{{ 'aab'.replace('a', 'x', 1) }}{{ ' a'.strip() }}{{ 'ab'.startswith('a') }}{{ 'Ab'.title() }}"
    "{{ messages[0].get('x', 'none') }}{{ messages[0].items() | list }}{{ 'abab'.rfind('b') }}"
    "{% for key, value in messages[0].items() %}{{ key }}{% endfor %}{{ [1, 1].count(1) }}",
    "tests": "{{ x is defined }}{{ x is undefined }}{{ 1 is odd }}{{ 'a' is string }}"
    "{{ {} is mapping }}{{ [] is iterable }}{{ none is none }}{{ 2 is divisibleby(2) }}"
    "{{ 1 is in([1]) }}{{ 'a' is lower }}",
    "helpers": "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}"
    "{% set j = joiner('|') %}{{ j() }}a{{ j() }}b{{ dict(a=1).a }}{{ range(2, 9, 3) | list }}",
    "what those of many models are made of": THINKING,
}  # fmt: skip


def rendered(template: str, **values: Any) -> str:
    return "".join(render(template, {"messages": TURNS, "add_generation_prompt": True} | values))


def as_jinja_does(template: str, values: Mapping[str, Any]) -> str:
    """What Hugging Face's environment makes of it."""
    plain = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    return plain.from_string(template).render(values)


@pytest.mark.parametrize("template", PLAIN.values(), ids=PLAIN)
def test_it_renders_as_jinja_does(template: str) -> None:
    values = {"messages": TURNS, "add_generation_prompt": True}
    assert rendered(template) == as_jinja_does(template, values)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_published_templates_render_as_jinja_does(name: str) -> None:
    config = json.loads((DATA / "golden" / name / "tokenizer_config.json").read_text("utf-8"))
    template = config["chat_template"]
    long = [{"role": turn["role"], "content": turn["content"] * 300} for turn in TURNS] * 20
    for messages in (TURNS, TURNS[1:], TURNS[:2], long):
        values: dict[str, Any] = {"messages": messages, "bos_token": "<s>", "eos_token": "</s>"}
        values["add_generation_prompt"] = True
        assert rendered(template, **values) == as_jinja_does(template, values)


def test_what_templates_of_hugging_face_use_besides() -> None:
    template = (
        "{{ messages[3] | tojson }}{{ {'a': [1]} | tojson(indent=2) }}{{ strftime_now('%%') }}"
    )
    assert rendered(template) == '{"role": "user", "content": "Ü – ☃"}{\n  "a": [\n    1\n  ]\n}%'
    with pytest.raises(jinja2.TemplateError, match="roles must alternate"):
        rendered("{{ raise_exception('roles must alternate') }}")


def growing(how: str, then: str = "", start: str = "'a'") -> str:
    """A value that doubles sixty times."""
    rounds = f"{{% for i in range(60) %}}{{% set ns.x = {how} %}}{{% endfor %}}"
    return f"{{% set ns = namespace(x={start}) %}}{rounds}{then}"


def knotted(then: str) -> str:
    """A list of sixty lists, each of which is twice in the next."""
    return growing("[ns.x, ns.x]", then, "[1]")


BIG = "{% set big = 'ab' * 500000 %}"
AGAIN = "{% for i in range(100000) %}"
NO_END = {
    "loops": AGAIN + AGAIN + "{% endfor %}{% endfor %}",
    "loops over letters": BIG + "{% for a in big %}{% for b in big %}{% endfor %}{% endfor %}",
    "loops that leave all out": AGAIN
    + "{% for j in range(99999) if false %}{% endfor %}{% endfor %}",
    "a long body": AGAIN + "{% set x = i %}" * 3000 + "{% endfor %}",
    "recursive loops": "{% for a in [1] recursive %}"
    "{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
    "macros": "".join(
        f"{{% macro m{n + 1}() %}}{{{{ m{n}() ~ m{n}() }}}}{{% endmacro %}}" for n in range(40)
    ) + "{% macro m0() %}{% endmacro %}{{ m40() }}",
    "macros by default": "".join(
        f"{{% macro m{n + 1}(a=m{n}(), b=m{n}()) %}}{{% endmacro %}}" for n in range(40)
    ) + "{% macro m0() %}{% endmacro %}{{ m40() }}",
    "callers": "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call m() %}" * 30 + "{% endcall %}" * 30,
    "filters": AGAIN + AGAIN + "{{ i | string | trim }}" + "{% endfor %}{% endfor %}",
    "doubled by +": growing("ns.x + ns.x"),
    "doubled by ~": growing("ns.x ~ ns.x"),
    "doubled by *": growing("ns.x * 2"),
    "doubled by join": growing("[ns.x, ns.x] | join"),
    "doubled by replace": growing("ns.x.replace('a', 'aa')"),
    "doubled in a block": "{% set ns = namespace(x='a') %}{% for i in range(60) %}"
    "{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}{% endfor %}",
    "doubled lists": growing("ns.x + ns.x", start="[1]"),
    "the template's own text": "{% set y %}" + AGAIN + "x" * 60_000 + "{% endfor %}{% endset %}",
    "multiplied": "{{ 'a' * 10000000000 }}",
    "multiplied lists": "{{ [0] * 1000000000 }}",
    "multiplied from the left": "{% set x = 10000000000 * 'a' %}",
    "joined with much": BIG + "{{ big.join(big) }}",
    "a filter joins with much": BIG + "{{ big | join(big) }}",
    "replaced by much": BIG + "{{ big.replace('a', big) }}",
    "a filter replaces by much": BIG + "{{ big | replace('', big) }}",
    "indented": "{{ 'a\nb' | indent(1000000000) }}",
    "indented JSON": BIG + "{{ [[1]] | tojson(indent=16) }}{{ big | list | tojson(indent=9) }}",
    "a date": "{{ strftime_now('%c' * 100000) }}",
    "looked for again and again": BIG + AGAIN + "{% if 'c' in big %}{% endif %}{% endfor %}",
    "compared again and again": BIG + "{% set other = big[1:] + 'b' %}" + AGAIN
    + "{% if other == big %}{% endif %}{% endfor %}",
    "copied again and again": BIG + AGAIN + "{% set x = big[1:] %}{% endfor %}",
    "written again and again": BIG + AGAIN + "{% set x = big.upper() %}{% endfor %}",
    "tested again and again": BIG + AGAIN + "{% set x = big is upper %}{% endfor %}",
    "found changed again and again": BIG + AGAIN + "{{ loop.changed(big) }}{% endfor %}",
    "selected": BIG + "{{ range(99999) | select('in', big | list) | list }}",
    "sorted": BIG + "{{ ([big] * 10000) | sort }}",
    "counted": BIG + "{{ ([big] * 10000).count(big ~ 'c') }}",
    "searched backwards": BIG + "{{ big.rfind('c' + big[:400000]) }}",
    "stripped": BIG + "{{ big.strip('c' * 400000 + 'ab') }}",
    "trimmed": BIG + "{{ big | trim('c' * 400000 + 'ab') }}",
    "a knot written": knotted("{{ ns.x }}"),
    "a knot joined": knotted("{{ ns.x ~ 'a' }}"),
    "a knot as JSON": knotted("{{ ns.x | tojson }}"),
    "a knot compared": knotted("{% set y = ns.x %}") + knotted("{{ ns.x == y }}"),
    "a knot as a key": growing("(ns.x, ns.x)", "{{ {ns.x: 1} }}", "(1,)"),
    "a knot looked up": growing("(ns.x, ns.x)", "{{ {}[ns.x] }}", "(1,)"),
    "a knot got": growing("(ns.x, ns.x)", "{{ {}.get(ns.x) }}", "(1,)"),
    "a knot in an exception": knotted("{{ raise_exception(ns.x) }}"),
}  # fmt: skip


@pytest.mark.parametrize("template", NO_END.values(), ids=NO_END)
def test_what_would_never_end_is_refused(template: str) -> None:
    with pytest.raises(Refused, match="more work than any conversation needs"):
        rendered(template)


def test_it_is_refused_at_the_same_place_each_time() -> None:
    def written() -> list[str]:
        found: list[str] = []
        with pytest.raises(Refused):
            found.extend(render(NO_END["filters"], {}))
        return found

    assert written() == written()


NOT_THERE = {
    "classes": "{{ messages.__class__.__mro__ }}",
    "classes by name": "{{ messages['__class__'].__mro__ }}",
    "subclasses": "{{ ''.__class__.__base__.__subclasses__() }}",
    "classes of all": "{{ (messages | map(attribute='__class__') | list)[0].mro() }}",
    "globals": "{{ cycler.__init__.__globals__ }}",
    "globals of a helper": "{{ raise_exception.__globals__.x }}",
    "changes": "{{ messages.append(1) }}",
    "powers": "{{ 9 ** 9 ** 9 }}",
    "large numbers": growing("ns.x * ns.x", start="9"),
    "large numbers written": "{{ 0x" + "f" * 30_000 + " }}",
    "large numbers read": "{% set n = ('f' * 100000) | int(base=16) %}",
    "a pattern's width": "{{ '%1000000000d' % 1 }}",
    "a width": "{{ '{:1000000000}'.format(1) }}",
    "a width by name": "{{ '{:1000000000}'['format'](1) }}",
    "a width of a mapping": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "room": "{{ 'a'.ljust(10000000000) }}",
    "tabs": "{{ '\t'.expandtabs(10000000000) }}",
    "bytes": "{{ 'a'.encode().hex() }}",
    "bytes of a number": "{{ (1).to_bytes(1000000000) }}",
    "a knot in a namespace": knotted("{{ ns }}"),
    "a knot in a namespace, lower": knotted("{{ ns is lower }}"),
    "a knot in a namespace, upper": knotted("{{ [ns] | map('upper') | list }}"),
    "files": "{% include '/etc/hostname' %}",
    "templates": "{% extends '/etc/hostname' %}",
    "modules": "{% import '/etc/hostname' as x %}{{ x }}",
    "settings": "{% autoescape 'a' * 10000000000 %}{% endautoescape %}",
    "blocks": "{% block b %}{{ self.b() }}{{ self.b() }}{% endblock %}",
    "a long template": " " * (MAX_TEMPLATE_CHARS + 1),
}


@pytest.mark.parametrize("template", NOT_THERE.values(), ids=NOT_THERE)
def test_what_no_template_needs_is_refused(template: str) -> None:
    with pytest.raises(Refused):
        rendered(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for %}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 'a' | center(10000000000) }}",
        "{{ [1] | batch(1000000000, 1) | list }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ " + "9" * 60_000 + " }}",
        "{{ " + "(" * 30_000 + " }}",
        "{{ " + "+".join(["1"] * 20_000) + " }}",
        "{% for a in b %}" * 30 + "{% endfor %}" * 30,
        "{% if a %}" * 3000 + "{% endif %}" * 3000,
        "{% break %}",
    ],
)
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(jinja2.TemplateSyntaxError):
        rendered(template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ undefined_name.x }}",
        "{{ 1 + 'a' }}",
        "{{ 1 / 0 }}",
        "{{ 5 | dictsort }}",
        "{{ 5 | tojson(indent='x') }}",
        "{{ namespace() | tojson }}",
        "{{ [1, 2] | first | items }}",
        "{{ messages[0]() }}",
        "{{ lipsum(n=1000000) }}",
        "{{ strftime_now('\ud800') }}",
        "{{ range(10 ** 1) }}{{ range(1, 2, 3, 4) }}",
        "{{ range(99999999) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    ],
)
def test_what_fails_while_it_renders(template: str) -> None:
    with pytest.raises(jinja2.TemplateError):
        rendered(template)
