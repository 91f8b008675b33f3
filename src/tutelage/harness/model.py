"""The model class that lm-evaluation-harness calls: `--model tutelage --model_args pretrained=RUN`.

Importing this module registers it with lm-eval, and needs lm-eval.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.errors import InputError
from tutelage.harness.answers import HarnessAnswers, Progress
from tutelage.harness.generation import read_settings
from tutelage.harness.installation import require_lm_eval
from tutelage.models import LoadedModel, load, resolve
from tutelage.tokens import chat_templates, rendering

require_lm_eval()
from lm_eval.api.model import LM  # noqa: E402 - behind the check that explains how to install it
from lm_eval.api.registry import register_model  # noqa: E402 - as above

_LOG = logging.getLogger(__name__)


@register_model("tutelage")
class TutelageLM(LM):  # type: ignore[misc]  # lm-eval is not typed
    """A model in Tutelage's engine, as lm-eval calls it.

    Args:
        pretrained: a hub id, a folder, a .gguf file, a run folder or the bundled default's name; or a model that is loaded.
        chat_template: a bundled chat template's name or a file; by default the model's own.
        dtype: of the weights in memory: float32, bfloat16 or float16.
        max_length: how many tokens the model reads; by default what its config says.
        device: where its weights go, such as cuda; by default where `load` leaves them.
        on_progress: called as requests are answered.
        unknown: other arguments, which are refused.

    Raises:
        InputError: the model cannot be loaded, or an argument is unknown.
    """

    def __init__(
        self,
        pretrained: str | LoadedModel,
        *,
        chat_template: str | None = None,
        dtype: str = "float32",
        max_length: int | None = None,
        device: str | None = None,
        on_progress: Progress | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if unknown:
            raise InputError(
                "the model has no such arguments",
                where="--model_args",
                found=", ".join(map(str, unknown)),
                expected="pretrained, chat_template, dtype, max_length, device",
                fix="remove them: the engine makes its own batches",
            )
        if isinstance(pretrained, str):
            template = (
                None
                if chat_template is None
                else chat_templates.template_text(chat_template, root=Path.cwd())
            )
            pretrained = load(resolve(pretrained, say=_LOG.info), chat_template=template, dtype=dtype)
        self.loaded = pretrained
        if device is not None:
            self.loaded.model.to(device)
        self._device = self.loaded.model.device
        self._answers = HarnessAnswers(self.loaded, max_length=max_length, on_progress=on_progress)

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: Mapping[str, Any] | None = None
    ) -> TutelageLM:
        """Make the model from `--model_args`; lm-eval's batch sizes are left out, as the engine makes its own batches."""
        model: TutelageLM = super().create_from_arg_string(arg_string, _settings(additional_config))
        return model

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: Mapping[str, Any] | None = None
    ) -> TutelageLM:
        """Make the model from arguments by name; lm-eval's batch sizes are left out, as the engine makes its own batches."""
        model: TutelageLM = super().create_from_arg_obj(arg_dict, _settings(additional_config))
        return model

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Score continuations.

        Args:
            requests: lm-eval's instances; `args` is (context, continuation).

        Returns:
            For each the log-probability (nats), and whether greedy generation would give the continuation.
        """
        pairs = [request.args for request in requests]
        scores = self._answers.log_likelihoods(pairs)
        results = [(score.log_probability, score.greedy) for score in scores]
        self._remember("loglikelihood", pairs, results)
        return results

    def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
        """The log-probability (nats) of whole texts; `args` is (text,)."""
        texts = [request.args for request in requests]
        results = self._answers.rolling_log_likelihoods([text for (text,) in texts])
        self._remember("loglikelihood_rolling", texts, results)
        return results

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Generate greedily; `args` is (context, generation_kwargs).

        Raises:
            InputError: a task samples, or sets what the engine does not offer; InputErrors for several.
        """
        texts = self._answers.generate(
            [
                (context, read_settings(values, where=getattr(request, "task_name", None) or "the task"))
                for request in requests
                for context, values in [request.args]
            ]
        )
        self._remember("generate_until", [request.args for request in requests], texts)
        return texts

    @property
    def tokenizer_name(self) -> str:
        """Stands for tokenizer and chat template in lm-eval's cache of rendered requests: another model has another name."""
        return f"tutelage-{self.loaded.fingerprint[:16]}"

    def chat_template(self, chat_template: bool | str = False) -> str | None:  # noqa: FBT001, FBT002 - as lm-eval calls it
        """The chat template in use, where lm-eval asks for one.

        Raises:
            InputError: a template is asked for by name, or the model has none.
        """
        if not chat_template:
            return None
        if isinstance(chat_template, str):
            raise InputError(
                "a chat template is not chosen here",
                where="--apply_chat_template",
                found=chat_template,
                fix="write --apply_chat_template alone, and chat_template=NAME in --model_args",
            )
        return self._require_template()

    def apply_chat_template(
        self,
        chat_history: Sequence[Mapping[str, str]],
        add_generation_prompt: bool = True,  # noqa: FBT001, FBT002 - as lm-eval calls it
    ) -> str:
        """Render a conversation as text.

        Args:
            chat_history: the turns, each with role and content.
            add_generation_prompt: whether the assistant's turn is opened at the end; else the last turn is left open.

        Raises:
            InputError: the model has no chat template, or it refuses the turns. One that refuses a system prompt gets the turns
                without it, as lm-eval's own backend does, with a warning.
        """
        self._require_template()
        try:
            return self._render(chat_history, generate=add_generation_prompt)
        except InputError:
            turns = [turn for turn in chat_history if turn["role"] != "system"]
            if len(turns) == len(chat_history):
                raise
            _LOG.warning("the chat template refuses a system prompt: it is left out")
            return self._render(turns, generate=add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """What lm-eval's results say of the model; asked for when all requests are answered."""
        model = self.loaded.model
        return {
            "model_name": self.loaded.name,
            "model_fingerprint": self.loaded.fingerprint,
            "model_num_parameters": sum(parameter.numel() for parameter in model.parameters()),
            "model_dtype": str(model.dtype),
            "max_length": self._answers.encoder.max_length,
            "truncated_requests": self._answers.truncated,
        }

    def _require_template(self) -> str:
        template = self.loaded.chat_template
        if template is None:
            raise InputError(
                "the model has no chat template",
                where=self.loaded.name,
                expected="one in its folder, or chat_template=NAME in --model_args",
                fix="name one, or ask without --apply_chat_template (--chat)",
            )
        return template

    def _render(self, turns: Sequence[Mapping[str, str]], *, generate: bool) -> str:
        text = rendering.render(self.loaded.tokenizer, turns, generate=generate)
        if generate:
            return text
        # What the template writes behind the last content is taken off, so that the answer goes on from it. A template may
        # take space off the content.
        last = turns[-1]["content"]
        for content in filter(None, (last.lstrip(), last.strip())):
            before, separator, _ = text.rpartition(content)
            if separator:
                return before + content
        raise InputError(
            "the chat template changes the beginning of the answer",
            where="chat_template",
            found=text[-200:],
            expected=f"a text with {last!r}",
            fix="use another chat template, or a task without gen_prefix",
        )

    def _remember(self, kind: str, arguments: Sequence[Any], results: Sequence[Any]) -> None:
        """Hand results to lm-eval's own cache of answers, which is off unless it is asked for (--use_cache)."""
        for args, result in zip(arguments, results, strict=True):
            self.cache_hook.add_partial(kind, args, result)


def _settings(settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """lm-eval's settings for all models without its batch sizes, and without its default device cuda where there is none."""
    import torch

    used = {
        name: value
        for name, value in (settings or {}).items()
        if name not in ("batch_size", "max_batch_size")
    }
    if str(used.get("device")).startswith("cuda") and not torch.cuda.is_available():
        _LOG.warning("there is no CUDA device: the model stays on the processor")
        del used["device"]
    return used
