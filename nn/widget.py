"""Show a stepper as a widget of a notebook: one position, which Python and every view of it can move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from .pages import script_of, style_of

if TYPE_CHECKING:
    from .stepping import Stepper

__all__ = ["StepperWidget"]


class StepperWidget(anywidget.AnyWidget):
    """A stepper in a notebook, made by its method `widget`.

    Attributes:
        step: The step of its page; it follows the stepper, and the stepper follows it.

    >>> import autograd_lite as al
    >>> import nn
    >>> s = nn.stepper(al.Value(2.0, "x").tanh())
    >>> widget = s.widget()
    >>> widget.step = 2
    >>> s
    step 3 of 3, backward: ∂y/∂x · ∂y/∂y = 0.07065 × 1 = 0.07065 → grad so far 0.07065
    """

    _esm = script_of("stepper")
    _css = style_of("stepper")
    step = traitlets.Int().tag(sync=True)
    story = traitlets.Dict().tag(sync=True)

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper
        page = stepper._page
        story = {**page.story, "svg": page.svg, "height": page.height}
        super().__init__(step=page.steps[stepper.position], story=story)

    @traitlets.validate("step")
    def _existing(self, proposal: Any) -> int:
        step: int = proposal["value"]
        if not 0 <= step < len(self._stepper._page.events):
            raise ValueError(f"there is no step {step}; the numbers are 0 to {len(self._stepper._page.events) - 1}")
        return step

    @traitlets.observe("step")
    def _moved(self, change: Any) -> None:
        page = self._stepper._page
        if page.steps[self._stepper.position] != change["new"]:  # else it is Python that moved
            self._stepper.position = page.events[change["new"]]

    def __repr__(self) -> str:
        return repr(self._stepper)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Add what the stepper itself shows, for where there are no widgets: an exported or an untrusted notebook."""
        bundle: Any = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle
        return self._stepper._repr_mimebundle_() | data, metadata
