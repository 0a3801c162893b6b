"""The form of notebook 00: which params file, or a new one from a few answers; checked by the model as one types."""

from html import escape
from typing import Any

import ipywidgets as widgets

from . import new
from .errors import ParamsError
from .params import Params
from .params_file import load, names

_NEW = "a new one"
_GIVEN = "as they were given"
_LABELS = {
    "like": "template",
    "cloud": "cloud",
    "name": "name",
    "domain": "address",
    "zone": "hosted zone",
    "region": "region",
    "bucket": "bucket",
    "certificate": "certificate",
}
_ROW = widgets.Layout(align_items="center", flex_flow="row wrap")
_WIDE = widgets.Layout(width="28em", max_width="100%")
_WORDS = {"description_width": "8em"}


class Form:
    """What a notebook goes on with is `params`: what it was given, until another file is chosen or written."""

    def __init__(self, params: str | dict[str, Any]):
        self.params = self._given = params
        load(params)
        self._choice = widgets.Dropdown(
            options=self._options(), value=self._label(), description="params file", layout=_WIDE, style=_WORDS
        )
        self._file = _text("file name", "mine")
        self._fields = {question.key: _field(question) for question in new.QUESTIONS}
        self._said = {key: widgets.HTML() for key in ("file", *self._fields)}
        self._replace = widgets.Checkbox(description="replace the file of that name", indent=False)
        self._write = widgets.Button(description="Write the file", icon="save", disabled=True)
        self._result, self._preview = widgets.HTML(), widgets.HTML()
        self._questions = widgets.VBox(
            [
                *(widgets.HBox([self._widget(key), said], layout=_ROW) for key, said in self._said.items()),
                widgets.HBox([self._write, self._replace], layout=_ROW),
            ]
        )
        self._box = widgets.VBox([self._choice, self._questions, self._result, self._preview])
        self._choice.observe(self._chosen, "value")
        for widget in (self._file, self._replace, *self._fields.values()):
            widget.observe(self._typed, "value")
        self._write.on_click(self._written)
        self._chosen()

    def __repr__(self) -> str:
        p = load(self.params)
        others = ", ".join(name for name in new.TEMPLATES if name != self.params)
        return (
            f"{_line(self.params)}: {p.title}, https://{p.domain}\n"
            f"another: put its name into the cell above ({others}), or write one: python -m runbook new NAME"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        """The widgets where there is a front end for them; elsewhere the text."""
        return self._box._repr_mimebundle_() | {"text/plain": repr(self)}

    def _widget(self, key: str) -> widgets.Widget:
        return self._file if key == "file" else self._fields[key]

    def _label(self) -> str:
        return self.params if isinstance(self.params, str) else _GIVEN

    def _options(self) -> list[str]:
        return list(dict.fromkeys([*names(), self._label(), _NEW]))

    def _chosen(self, _: Any = None) -> None:
        """A file was chosen, or that there shall be a new one."""
        is_new = self._choice.value == _NEW
        self._questions.layout.display = None if is_new else "none"
        if is_new:
            self._result.value = ""
            self._typed()
            return
        chosen = self._given if self._choice.value == _GIVEN else self._choice.value
        try:
            p = load(chosen)
        except ParamsError as error:
            self._result.value, self._preview.value = _wrong(str(error)), ""
            return
        self.params = chosen
        self._result.value, self._preview.value = _next(p, chosen), _pre(repr(p), folded=True)

    def _answers(self) -> dict[str, str]:
        return new.answers(self._file.value, {key: field.value for key, field in self._fields.items()})

    def _typed(self, _: Any = None) -> None:
        """Something was typed: the defaults that follow from it, what is wrong beside its field, the file as text."""
        file, answered = self._file.value, self._answers()
        for key, field in self._fields.items():
            if isinstance(field, widgets.Text):
                field.placeholder = answered[key] or "registry.example.com"
        wrong = new.wrong(file, answered)
        if "file" not in wrong:
            try:
                new.free(file, replace=self._replace.value)
            except ParamsError as error:
                wrong["file"] = str(error)
        for key, said in self._said.items():
            said.value = _wrong(wrong[key]) if key in wrong else _OK
        others = {key: why for key, why in wrong.items() if key not in self._said}
        self._write.disabled = bool(wrong)
        self._result.value = "".join(_wrong(f"{key}: {why}") for key, why in others.items())
        self._preview.value = "" if wrong else _pre(new.text(file, answered))

    def _written(self, _: Any = None) -> None:
        file = self._file.value
        try:
            new.write(file, self._answers(), replace=self._replace.value)
        except (ParamsError, OSError) as error:
            self._result.value = _wrong(str(error))
            return
        self.params = file
        self._choice.options = self._options()
        self._choice.value = file


def form(params: str | dict[str, Any]) -> Form:
    """A form in a front end with widgets; headless, and with nothing touched, it goes on with `params`."""
    return Form(params)


def _field(question: new.Question) -> widgets.Widget:
    label = _LABELS[question.key]
    if not question.choices:
        return _text(label, "", tooltip=question.words)
    return widgets.Dropdown(
        options=question.choices, description=label, tooltip=question.words, layout=_WIDE, style=_WORDS
    )


def _text(label: str, value: str, tooltip: str = "") -> widgets.Text:
    return widgets.Text(value=value, description=label, tooltip=tooltip, layout=_WIDE, style=_WORDS)


def _line(params: str | dict[str, Any]) -> str:
    return f'params = "{params}"' if isinstance(params, str) else "params: a mapping"


def _next(p: Params, params: str | dict[str, Any]) -> str:
    """Which deployment the cells below go on with, and the line for the other notebooks."""
    line = f"; the first code cell of the other notebooks: <code>{escape(_line(params))}</code>"
    return f"<p><b>✔ ok:</b> {escape(p.title)}{line}</p><p>Now run the cells below.</p>"


def _wrong(why: str) -> str:
    return f'<span role="alert" style="{_ERROR}">✘ {escape(why)}</span>'


def _pre(text: str, *, folded: bool = False) -> str:
    shown = f'<summary>what stands in it</summary><pre style="line-height:1.3">{escape(text)}</pre>'
    return f"<details{'' if folded else ' open'}>{shown}</details>"


_ERROR = "color:var(--jp-error-color1, #c62828)"
_OK = "<span>✔ ok</span>"
