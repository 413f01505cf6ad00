"""An estimate that waits for losses which somebody else evaluates."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeAlias

from torch import Tensor

#: estimates for `x: [B, C, T]` and `p: [B, P]`, None where none is asked for or made
Gradients: TypeAlias = tuple[Tensor | None, Tensor | None]


class WaitingEstimate:
    """An estimate in a thread of its own: the estimator asks for losses when it likes, and waits until it is told them.

    So JAX can evaluate the losses between two callbacks, and not inside of one, where that can deadlock.

    Args:
        estimate: is given the loss of any sounds, `[B, C, T] -> [B] float64`, and returns the gradients.
    """

    def __init__(self, estimate: Callable[[Callable[[Tensor], Tensor]], Gradients]) -> None:
        self._estimate = estimate
        self._told: SimpleQueue[Tensor] = SimpleQueue()
        self._asked: SimpleQueue[Tensor | Gradients | BaseException] = SimpleQueue()
        threading.Thread(target=self._run, name="blackbox_grad estimate", daemon=True).start()

    def _run(self) -> None:
        try:
            self._asked.put(self._estimate(self._loss_of))
        except BaseException as error:
            self._asked.put(error)

    def _loss_of(self, sounds: Tensor) -> Tensor:
        self._asked.put(sounds)
        return self._told.get()

    def tell(self, losses: Tensor) -> None:
        """The losses, `[B] float64`, of the sounds that were asked about last."""
        self._told.put(losses)

    def ask(self) -> Tensor | Gradients:
        """The next sounds whose losses are needed, `[B, C, T]`; or the gradients, at the end.

        Raises:
            Exception: what the estimator or a render raised.
        """
        asked = self._asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return asked
