"""What a host says is JSON, and what it should not say is an error."""

from __future__ import annotations

import json
import os
import pickle
import struct
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processes import faulty

import blackbox_grad as bg
from blackbox_grad import errors
from blackbox_grad.effects.opening import EffectInfo, load
from blackbox_grad.hosts.answers import Description, Done, Failed, Opened, Opening, Ready, decode, encode, portable
from blackbox_grad.hosts.channel import LONGEST
from blackbox_grad.parameters import Parameter, ParameterSpace

AUDIO = np.zeros((1, 1, 64), np.float32)
ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.BlackboxGradError)]
CHAIN = bg.chain("reference:gain", "reference:biquad", "pedalboard-builtin:Reverb")


def framed(message: bytes) -> bytes:
    return struct.pack("<4sI", b"bgm1", len(message)) + message


@pytest.mark.parametrize("spec", [bg.EffectSpec.of("reference:soft-clip"), CHAIN], ids=["single", "chain"])
def test_a_description_comes_back_whole(spec):
    with load(spec) as effect:
        expected, found = EffectInfo.of(effect), decode(encode(Description.of(effect))).info(spec)
    for field in fields(EffectInfo):
        assert getattr(found, field.name) == getattr(expected, field.name)


def test_what_a_backend_learnt_comes_back_if_it_is_plain():
    learnt = {
        "numbers": (1, 2.5, True, None, float("inf"), np.float32(0.5), np.int64(7), np.bool_(True)),
        "nested": {"list": [1, (2, 3)], "set": frozenset({1, 2}), "bytes": b"\xff\x00", 3: "text \udcff ü"},
        "parameters": (Parameter("Ä", kind="stepped", levels=3, choices=("a", "b", "c")),),
        "not plain": object(),
    }
    with load("reference:gain") as effect:
        effect.spec = replace(effect.spec, learnt=tuple(learnt.items()))
        info = decode(encode(Description.of(effect))).info(bg.EffectSpec.of("reference:gain"))
    del learnt["not plain"]
    assert dict(info.spec.learnt) == learnt


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_comes_back_with_its_class_and_words(kind):
    found = decode(encode(Failed(portable(kind("what happened: ü"), "reference:gain"), 3)))
    assert type(found.error) is kind
    assert str(found.error) == "what happened: ü"
    assert found.index == 3


def test_an_error_from_elsewhere_names_the_effect():
    class Other(errors.AudioError):
        pass

    assert type(portable(Other("too loud"), "reference:gain")) is errors.AudioError
    assert str(portable(KeyError("x"), "reference:gain")) == "reference:gain: KeyError: 'x'"


@pytest.mark.parametrize("answer", [Ready(), Opening(), Opened(), Done()])
def test_short_answers_come_back(answer):
    assert decode(encode(answer)) == answer


NAMES = ["Failed", "Description", "error", "Parameter", "ParameterSpace", "dict", "bytes", "frozenset", "os.system"]
KEYS = ["error", "index", "facts", "learnt", "kind", "message", "name", "arguments", "items", "base64", "values"]


def an_object(inner: st.SearchStrategy) -> st.SearchStrategy:
    content = st.dictionaries(st.sampled_from(KEYS), inner)
    return st.builds(lambda name, content: {"is": name} | content, st.sampled_from(NAMES), content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("is"), inner) | an_object(inner),
    max_leaves=8,
)


@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_nothing_but_an_answer_is_made_of_what_a_host_says(data):
    try:
        answer = decode(data)
    except ValueError:
        return
    if isinstance(answer, Description):
        try:
            assert isinstance(answer.info(bg.EffectSpec.of("reference:gain")), EffectInfo)
        except (KeyError, TypeError, ValueError):
            return
    assert isinstance(answer, (Ready, Opening, Opened, Done, Failed, Description))


class Trap:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["TRAP"],)


def info_of(**changed) -> bytes:
    with load("reference:gain") as effect:
        facts = Description.of(effect).facts
    return encode(Description(facts | changed, ({}, ())))


SAID = {
    "a pickle": lambda: pickle.dumps(Trap()),
    "a pickle of multiprocessing": lambda: struct.pack("!i", len(data := pickle.dumps(Trap()))) + data,
    "a pickle in a frame": lambda: framed(pickle.dumps(Trap())),
    "text": lambda: b"Segmentation fault\n",
    "a length beyond all measure": lambda: struct.pack("<4sI", b"bgm1", LONGEST + 1),
    "another class": lambda: framed(b'{"is": "Subject", "key": "x"}'),
    "deep JSON": lambda: framed(b"[" * 100_000),
    "a render that was not asked for": lambda: framed(encode(Failed(errors.RenderError("x"), 10**9))),
    "the end before the end": lambda: framed(encode(Done())),
    "a description": lambda: framed(info_of()),
    "two answers": lambda: 2 * framed(encode(Done())),
}


@pytest.mark.parametrize("what", SAID)
def test_a_host_that_says_something_else_is_ended_with_a_clear_error(third_party, tmp_path, monkeypatch, what):
    monkeypatch.setenv("TRAP", str(tmp_path / "trap"))
    (tmp_path / "said").write_bytes(SAID[what]())
    with bg.ProcessPool(hosts=1) as pool:
        with pytest.raises(errors.HostError, match="faulty:say: its host process gave an answer that makes no sense"):
            pool.render_batch(faulty("say", log=str(tmp_path / "said")), AUDIO, np.array([[0.9]]))
        assert pool.render_batch(bg.EffectSpec.of("reference:gain"), AUDIO, np.array([[0.5]]))[1].all()
    assert not (tmp_path / "trap").exists(), "code ran in the parent"


@pytest.mark.parametrize(
    "changed",
    [{"name": 3}, {"parameters": ()}, {"latency": "0"}, {"parameters": ParameterSpace([Parameter("a")], free=[1])}, {"new": 1}],
)
def test_a_description_that_describes_nothing_is_refused(changed):
    with pytest.raises((TypeError, ValueError)):
        decode(info_of(**changed)).info(bg.EffectSpec.of("reference:gain"))
