import dataclasses

import pytest

from engines.config import PromptConfig
from engines.errors import BundleError, PromptError
from engines.messages import Turn
from engines.prompt import prompt_ids, render_prompt

CONFIG = PromptConfig(
    chat_template=(
        "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}[answer]{% endif %}"
    ),
    system_prompt=None,
    special_tokens={"bos_token": "<s>"},
    pad_token_id=None,
)


def with_template(template: str) -> PromptConfig:
    return dataclasses.replace(CONFIG, chat_template=template)


def test_the_placeholder_and_a_line_break_stand_before_the_first_question() -> None:
    turns = [Turn("user", "Who?"), Turn("assistant", "Me."), Turn("user", "Why?")]
    assert render_prompt(turns, "video", CONFIG) == (
        "<s>[user]<video>\nWho?[assistant]Me.[user]Why?[answer]"
    )


def test_a_text_question_keeps_the_line_break() -> None:
    assert render_prompt([Turn("user", "Who?")], None, CONFIG) == "<s>[user]\nWho?[answer]"


def test_the_bundles_system_prompt_comes_first_unless_one_is_given() -> None:
    config = dataclasses.replace(CONFIG, system_prompt="Be kind.")
    assert render_prompt([Turn("user", "Hi")], None, config).startswith("<s>[system]Be kind.[user]")
    own = [Turn("system", "Be brief."), Turn("user", "Hi")]
    assert render_prompt(own, None, config).startswith("<s>[system]Be brief.[user]\nHi")


def test_pieces_are_tokenised_apart() -> None:
    seen: list[str] = []

    def encode(piece: str) -> list[int]:
        seen.append(piece)
        return [len(piece)]

    assert prompt_ids("ab<video>\nc", "video", encode).tolist() == [2, -201, 2]
    assert seen == ["ab", "\nc"]
    assert prompt_ids("x<image>y", "image", encode).tolist() == [1, -200, 1]
    assert prompt_ids("x<audio>y", "audio", encode).tolist() == [1, -202, 1]
    assert prompt_ids("x<audio>y", None, encode).tolist() == [9]


def test_a_template_that_refuses() -> None:
    with pytest.raises(PromptError, match="roles must alternate"):
        render_prompt(
            [Turn("user", "a")],
            None,
            with_template("{{ raise_exception('roles must alternate') }}"),
        )


def test_a_broken_template_is_the_bundles_fault() -> None:
    with pytest.raises(BundleError, match=r"template in the bundle is broken \(.*\); export"):
        render_prompt([Turn("user", "a")], None, with_template("{% for %}"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages.__class__.__mro__ }}",
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10000000000 }}",
        "{{ 'a'.center(10000000000) }}",
    ],
)
def test_a_template_is_refused_for_what_it_does(template: str) -> None:
    with pytest.raises(BundleError, match=r"in x\.vl2 is refused \(.*[^.]\); use a bundle"):
        render_prompt([Turn("user", "a")], None, with_template(template), "x.vl2")


@pytest.mark.parametrize("template", ["{{ '\ud800' }}", "\udfff", "{{ bos_token }}"])
def test_halves_of_characters(template: str) -> None:
    config = dataclasses.replace(with_template(template), special_tokens={"bos_token": "\ud800"})
    with pytest.raises(BundleError, match="writes halves of characters"):
        render_prompt([Turn("user", "a")], None, config)


def test_a_prompt_without_end_is_stopped() -> None:
    template = "{% for i in range(2000) %}{{ 'xxxxxxxx' * 100 }}{% endfor %}"
    with pytest.raises(PromptError, match="longer than"):
        render_prompt([Turn("user", "a")], None, with_template(template))


def test_a_template_that_drops_the_clip() -> None:
    prompt = render_prompt([Turn("user", "a")], "video", with_template("nothing"))
    with pytest.raises(BundleError, match="drops the clip"):
        prompt_ids(prompt, "video", lambda _: [])
