"""A model by name, loaded at the first decode and not before; one attempt, one reason when it fails."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

from decoders.fingerprint import import_closure_hash
from decoders.protocols import ModelRequest
from decoders.traits import ModuleTraits, model_traits, module_traits
from pb_plugin.planning import registry
from pb_plugin.planning.option_grammar import ModelChoice
from pb_plugin.records.canonical import digest
from task_specs.prompt import STYLES, PromptStyle

if TYPE_CHECKING:
    from decoders.budget import Budget
    from decoders.protocols import Denoiser


RESULT_CODE = (
    "decoders.loop.loop",
    "decoders.loop.batching",
    "decoders.loop.generating",
    "decoders.theory.answer_sets",
    "pb_plugin.asking.rows",
)
"""What every model shares between a question and its text; with its imports part of each decode key."""


class ModelUnavailable(RuntimeError):
    """A named model cannot be loaded; the message is one grouped reason for all of its items."""


class ModelHandle:
    """What a run holds of one model.

    Args:
        choice: The model as it was named.
        dtype: Number type asked for, or None.
        device: Device asked for, or None.
        vocabulary: Text pieces for a tokenizer of our own.
        max_rows: Rows in one forward at the most, or None.
        compiled: Whether the body of a network of transformers is compiled.
        allow_code: Whose own code may run, as ``--pb-allow-remote-code`` takes it.
        served: What goes for models behind a server, or None.
        session: What such a model's module finds when it is first asked (`decoders.protocols.ModelRequest`).
    """

    def __init__(
        self,
        choice: ModelChoice,
        *,
        dtype: str | None,
        device: str | None,
        device_map: str | None = None,
        vocabulary: tuple[str, ...],
        max_rows: int | None,
        compiled: bool = False,
        allow_code: tuple[str, ...] = (),
        served: Any = None,
        session: dict[str, Any] | None = None,
    ) -> None:
        self.choice = choice
        self.name = choice.name
        self._entry = registry.find_model(choice.reference)
        self._request = ModelRequest(
            name=choice.name,
            source=choice.source,
            revision=choice.revision,
            dtype=dtype,
            device=device,
            device_map=device_map,
            vocabulary=vocabulary,
            compiled=compiled,
            allow_code=allow_code,
            served=served,
            session={} if session is None else session,
        )
        self._with_params: dict[str, str | ModelUnavailable] = {}
        self._max_rows = max_rows
        self._model: Denoiser | None = None
        self._failure: str | None = None
        self._budget: Budget | None = None

    @property
    def dtype(self) -> str:
        """What goes into the records: the number type asked for."""
        return self._request.dtype or "default"

    @cached_property
    def fingerprint(self) -> str:
        """What the model's module says its files are (``fingerprint(request)``), else a hash of the request.

        Raises:
            ModelUnavailable: The checkpoint cannot be found or read; later calls do not try again.
        """
        of_files = self._ask_module(lambda module: module.fingerprint)
        _ = self.remote_code  # asked for while the checkpoint is the one of the fingerprint
        request = self._request
        return of_files or digest([request.name, request.source, request.revision, list(request.vocabulary)])

    def fingerprint_of(self, params: Mapping[str, Any]) -> str:
        """Return `fingerprint`, or what the module says where it depends on the parameters of `native`, too.

        Raises:
            ModelUnavailable: The checkpoint cannot be found or read, or a server cannot be used with
                *params*; later calls with the same do not try again.
        """
        self._check_available()
        module = self._module()
        if module.fingerprint_with is None:
            return self.fingerprint
        asked = digest(dict(params))
        if asked not in self._with_params:
            try:
                self._with_params[asked] = str(module.fingerprint_with(self._request, params))
            except Exception as error:  # the boundary to a model that may be anybody's
                self._with_params[asked] = ModelUnavailable(self._reason(error))
        found = self._with_params[asked]
        if isinstance(found, ModelUnavailable):
            raise found
        return found

    @cached_property
    def remote_code(self) -> str | None:
        """The checkpoint's own code that runs, as REPO@REVISION (the module's ``remote_code``), or None.

        Raises:
            ModelUnavailable: It is not allowed, or the checkpoint cannot be found or read.
        """
        return self._ask_module(lambda module: module.remote_code)

    def _ask_module(self, ask: Callable[[ModuleTraits], Callable[[Any], Any] | None]) -> str | None:
        """Return what a function of the model's module says of the request; None if it has none."""
        self._check_available()
        module = self._module()
        try:
            found = ask(module)
            said = None if found is None else found(self._request)
            return None if said is None else str(said)
        except Exception as error:  # the boundary to a model that may be anybody's
            raise self._unavailable(error) from error

    def _module(self) -> ModuleTraits:
        try:
            return module_traits(import_module(self._entry.module))
        except Exception as error:  # the boundary to a model that may be anybody's
            raise self._unavailable(error) from error

    @cached_property
    def prompt_style(self) -> PromptStyle:
        """Which prompts the model reads: what its module says as ``PROMPT_STYLE``, else ``natural``.

        Raises:
            ModelUnavailable: The module cannot be imported, or says something else.
        """
        self._check_available()
        try:
            style = module_traits(import_module(self._entry.module)).prompt_style
            if style not in STYLES:
                raise ValueError(
                    f"PROMPT_STYLE of {self._entry.module} must be one of {', '.join(STYLES)}, "
                    f"got {style!r}; correct it or leave it out for natural"
                )
        except Exception as error:  # the boundary to a model that may be anybody's
            raise self._unavailable(error) from error
        return "compact" if style == "compact" else "natural"

    @cached_property
    def code(self) -> str:
        """Hash of the code that turns a question into a result: `RESULT_CODE`, the model, what they import.

        A model whose module says which modules decide (``RESULT_CODE``) has the hash of those alone.

        Raises:
            LookupError: The model's module cannot be found.
        """
        own = self._module().result_code
        return import_closure_hash(*(own or (*RESULT_CODE, self._entry.module)))

    @cached_property
    def is_exact(self) -> bool:
        """Whether this is the model of exact marginals, whose results obey laws; it is cheap to load.

        Raises:
            ModelUnavailable: The module cannot be imported.
        """
        self._check_available()
        try:
            return module_traits(import_module(self._entry.module)).exact
        except Exception as error:  # the boundary to a model that may be anybody's
            raise self._unavailable(error) from error

    @contextmanager
    def at_most(self, rows: int | None) -> Iterator[None]:
        """Let a forward have *rows* rows, however many tokens that is; None: as many as before."""
        from decoders.budget import Budget

        before = self._budget
        if rows is not None:
            self._budget = Budget(tokens=sys.maxsize, max_rows=rows)
        try:
            yield
        finally:
            self._budget = before

    @property
    def budget(self) -> Budget:
        """How much a forward of the loaded model may hold; known when the first rows are decoded.

        Raises:
            ModelUnavailable: It cannot be loaded.
        """
        if self._budget is None:
            from decoders.loop.batching import default_budget

            self._budget = default_budget(self.get())
            self._budget.max_rows = self._max_rows
        return self._budget

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._model is not None

    def get(self) -> Denoiser:
        """Return the model, loading it at the first call.

        Raises:
            ModelUnavailable: It cannot be loaded; later calls raise the same without trying again.
        """
        self._check_available()
        if self._model is None:
            if not self.is_exact:
                gc.collect()  # an earlier load that failed may have left parts that refer to each other
            try:
                self._model = _loaded(registry.load(self._entry), self._request)
            except (Exception, SystemExit) as error:  # the boundary to a loader that may be anybody's
                raise self._unavailable(error) from error
        return self._model

    def close(self) -> None:
        """Drop the network, so that the next model finds the memory free."""
        if self._model is not None:
            model_traits(self._model).close()
        held = self._model is not None and not self.is_exact
        self._model = self._budget = None
        if held:
            gc.collect()
        self.release()

    def release(self) -> None:
        """Let go of what the model's module keeps: connections, and servers that it started."""
        for kept in self._request.session.values():
            if hasattr(kept, "close"):
                kept.close()

    def _check_available(self) -> None:
        if self._failure is not None:
            raise ModelUnavailable(self._failure)

    def _unavailable(self, error: BaseException) -> ModelUnavailable:
        """Return the reason, remembered as text: the error itself would hold what was half loaded."""
        self._failure = self._reason(error)
        return ModelUnavailable(self._failure)

    def _reason(self, error: BaseException) -> str:
        return f"model {self.choice.text}: {type(error).__name__}: {error}"


def _loaded(load: Callable[[ModelRequest], Denoiser | None], request: ModelRequest) -> Denoiser:
    model = load(request)
    if model is None:
        raise TypeError(f"a model's load function must return the model, got None from {load!r}; return it")
    _ = model_traits(model)  # what it declares must hold together
    return model
