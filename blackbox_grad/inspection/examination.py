"""The examination: the effect as a whole, then one parameter after the other, until everything is measured or a limit ends it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from blackbox_grad.cache import JsonCache, digest
from blackbox_grad.effects.addresses import file_stamp
from blackbox_grad.effects.spec import AnyEffect, EffectSpec, as_spec
from blackbox_grad.errors import RenderError
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.inspection import audible, one_parameter, whole
from blackbox_grad.inspection.effort import COARSEST, FULL, LOOK, Budget, Effort
from blackbox_grad.inspection.memory import memory
from blackbox_grad.inspection.renders import InspectionProgress, LimitMet, Renders
from blackbox_grad.inspection.results import Inspection, ParameterInspection
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.space import Selection

#: Increases when measurements change, so that cached results of older code are not used.
_METHOD = 4

#: Libraries whose version may change what an effect does.
_LIBRARIES = ("blackbox-grad", "pedalboard", "dawdreamer")

#: A change of the output counts if it is this many times larger than the effect's own noise.
_ABOVE_NOISE = 4.0

#: Remark on an inspection that measured fewer points than it would in more time.
_COARSE = "measured more coarsely than usual, so that every parameter has its turn within the limits; more time measures finer"

#: Remark on one that left out measurements of some parameters.
_UNREFINED = (
    "steps and noise of {} of {} audible parameters, those that change least, are not measured; more time measures them"
)

#: Progress after the effect as a whole, the search for audible parameters, and the first looks.
_WHOLE, _AUDIBLE, _LOOKED = 0.05, 0.1, 0.45

#: Seconds for one render of the test signals. The inspection reports a render that takes longer or crashes.
_TIME_LIMIT = 20.0


def inspect_effect(
    effect: AnyEffect,
    sample_rate: float = 44100.0,
    *,
    parameters: Selection = "all",
    time_limit: float = 120.0,
    render_limit: int = 20_000,
    again: bool = False,
    host: str | Host | None = None,
    on_progress: Callable[[InspectionProgress], None] = lambda progress: None,
    **options: Any,
) -> Inspection:
    """Measure what an effect really does, on a recording of a guitar and on bursts of noise; of an instrument, on two tunes.

    A limit or Ctrl-C ends it early. The result then holds what was found so far, and `Inspection.stopped` says why. Results are
    cached until the plug-in's file or a version changes.

    Args:
        effect: an address, or a spec, which has its own sample rate, parameters and options.
        sample_rate: Hz.
        parameters: those to inspect: names, "continuous", "trainable" or "all".
        time_limit: seconds that it may take. It waits for renders that have begun.
        render_limit: the most renders, each of 1.5 s of audio.
        again: measure again instead of reading the cache.
        host: where to render; by default its own processes, or the host that `BLACKBOX_GRAD_HOST` describes.
        on_progress: called during the measurements.
        options: passed to the backend.
    """
    spec = as_spec(effect, sample_rate, parameters, **options)
    cache, key, stamp = JsonCache("inspections"), spec.key, _stamp(spec)
    known = None if again else _remembered(cache.get(key, stamp))
    if known is not None and (not known.stopped or (known.time_limit >= time_limit and known.render_limit >= render_limit)):
        return known
    with contextlib.ExitStack() as stack:
        renderer = alone = stack.enter_context(opened_host(host, time_limit=_TIME_LIMIT))
        if renderer is not host and getattr(renderer, "hosts", 1) > 1:
            alone = stack.enter_context(opened_host("processes:hosts=1", time_limit=_TIME_LIMIT))
        found = _examined(Renders(spec, renderer, alone, time_limit, render_limit, on_progress))
    if found.stopped != "interrupted":
        cache.put(key, stamp, found.to_json())
    return found


def _remembered(data: Any) -> Inspection | None:
    try:
        return None if data is None else Inspection.from_json(data)
    except (ValueError, TypeError, KeyError):  # a damaged file
        return None


def _stamp(spec: EffectSpec) -> str:
    """A digest of the plug-ins' files, the libraries' versions, and the method of measurement."""
    parts = spec.parts or (spec,)
    versions = []
    for library in _LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            versions.append((library, version(library)))
    seen = (_METHOD, versions, [file_stamp(part.address) for part in parts])
    return digest(repr(seen))


def _examined(renders: Renders) -> Inspection:
    """Everything, or what a limit or Ctrl-C left time for."""
    info = renders.info
    found = Inspection(
        renders.spec.address,
        info.name,
        renders.spec.sample_rate,
        info.layout,
        info.latency,
        tuple(ParameterInspection(p.name, p.kind) for p in info.parameters),
        time_limit=renders.time_limit,
        render_limit=renders.render_limit,
        notes=(renders.note,) if renders.note else (),
    )
    try:
        for stage in _stages(renders, found):
            found = stage
    except LimitMet as limit:
        found = replace(found, stopped=limit.which)
    except KeyboardInterrupt:
        found = replace(found, stopped="interrupted")
    renders.tell(1.0, "done")
    return replace(found, renders=renders.made, seconds=round(renders.seconds, 3))


def _stages(renders: Renders, found: Inspection) -> Iterator[Inspection]:
    """The inspection, more complete each time."""
    renders.tell(0.0, "the effect as a whole")
    history = whole.history(renders)
    found = replace(found, repeatability=history.repeatability, leakage=history.leakage)
    yield found
    found = replace(found, seconds_per_second=whole.seconds_per_second(renders.alone, renders.spec, renders.info))
    yield found
    found = replace(found, measured_latency=whole.measured_latency(renders))
    yield found
    failures = whole.failures(renders)
    found = replace(found, nonfinite=failures.nonfinite, silent=failures.silent, loud=failures.loud)
    found = replace(found, bad_settings=failures.example)
    yield found

    tolerance = _ABOVE_NOISE * max(history.repeatability, history.leakage)
    heard = audible.Heard()
    for done in audible.search(renders, heard, tolerance):
        renders.tell(_WHOLE + (_AUDIBLE - _WHOLE) * done, "which parameters are audible")
        found = replace(found, parameters=heard.reported(found.parameters))
        yield found
    found = replace(found, parameters=heard.reported(found.parameters, ended=True))
    yield found

    # look at every parameter before refining the first: if time runs out, the looks matter more. The most audible ones come first
    order = heard.order()
    found = replace(found, memory=memory(renders, order))
    yield found
    space, signals, budget = renders.space, len(renders.signals), Budget(renders)
    efforts = list[Effort]()
    looked: dict[int, one_parameter.Looked] = {}
    for n, i in enumerate(order):
        renders.tell(_AUDIBLE + (_LOOKED - _AUDIBLE) * n / len(order), space.names[i])
        left = [space[j] for j in order[n:]]
        begun = [space[j] for j in looked]
        efforts.append(budget.effort(partial(_cost, signals, left, begun)))
        with _reported(found.parameters[i]) as result:
            looked[i] = one_parameter.look(renders, i, heard.places[i][1], tolerance, efforts[-1])
            result.append(looked[i].found)
        found = _with(found, i, result[-1])
        yield found
    unrefined = 0
    for n, i in enumerate(looked):
        renders.tell(_LOOKED + (1.0 - _LOOKED) * n / len(looked), space.names[i])
        begun = [space[j] for j in list(looked)[n:]]
        efforts.append(budget.effort(partial(_cost, signals, [], begun)))
        if efforts[-1] is LOOK:  # not all can be refined: this one, if that is possible
            efforts[-1] = budget.effort(partial(_cost, signals, [], begun[:1]), (COARSEST, LOOK))
        if efforts[-1] is LOOK:
            unrefined += space[i].levels is None
            continue
        with _reported(found.parameters[i]) as result:
            result.append(one_parameter.refine(renders, looked[i], i, heard.places[i][1], tolerance, efforts[-1]))
        found = _with(found, i, result[-1])
        yield found
    if any(effort is not FULL for effort in efforts):
        found = replace(found, notes=(*found.notes, _COARSE))
        yield found
    if unrefined:
        found = replace(found, notes=(*found.notes, _UNREFINED.format(unrefined, len(looked))))
        yield found


def _cost(signals: int, unseen: Sequence[Parameter], seen: Sequence[Parameter], effort: Effort) -> int:
    """Renders that remain for parameters before and after their first look."""
    return sum(effort.renders(p, signals) for p in unseen) + sum(effort.refining_of(p) for p in seen)


@contextlib.contextmanager
def _reported(known: ParameterInspection) -> Iterator[list[ParameterInspection]]:
    """A render that fails in the block becomes the note of the parameter, beside the results so far."""
    result = [known]
    try:
        yield result
    except RenderError as error:
        result.append(replace(known, note=str(error)))


def _with(found: Inspection, index: int, parameter: ParameterInspection) -> Inspection:
    parameters = found.parameters
    return replace(found, parameters=(*parameters[:index], parameter, *parameters[index + 1 :]))
