"""Chat templates of this project's own in the shapes of known families, with ChatML's tokens as control tokens."""

LLAMA2 = (  # the system prompt within the first question; spaces around an answer; the start token before every exchange
    "{% if messages[0]['role'] == 'system' %}{% set sys = '<<' + messages[0]['content'] + '>>\\n' %}{% set talk = messages[1:] %}"
    "{% else %}{% set sys = '' %}{% set talk = messages %}{% endif %}"
    "{% for m in talk %}{% if m['role'] == 'user' %}"
    "{{ bos_token + '[Q] ' + (sys if loop.first else '') + m['content'] | trim + ' [/Q]' }}"
    "{% else %}{{ ' ' + m['content'] | trim + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (  # the system prompt within the last question, so that a finished conversation has none; a space before an answer
    "{% if messages[0]['role'] == 'system' %}{% set sys = messages[0]['content'] + '\\n\\n' %}{% set talk = messages[1:] %}"
    "{% else %}{% set sys = '' %}{% set talk = messages %}{% endif %}{{ bos_token }}"
    "{% for m in talk %}{% if m['role'] == 'user' %}{{ '[Q] ' + (sys if loop.last else '') + m['content'] + '[/Q]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
QWEN3 = (  # empty thoughts before the last answer of a finished conversation, none before earlier ones
    "{% set ns = namespace(last=-1) %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' }}{% set text = m['content'].split('</think>')[-1].lstrip('\\n') %}"
    "{% if m['role'] == 'assistant' and loop.index0 > ns.last %}"
    "{% if '</think>' in m['content'] %}{{ m['content'] }}{% else %}{{ '<think>\\n\\n</think>\\n\\n' + text }}{% endif %}"
    "{% elif m['role'] == 'assistant' %}{{ text }}{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
HEADLESS = (  # the header of an answer stands in finished conversations only
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' }}{% endfor %}"
)
THINKS = (  # opens thoughts that a finished conversation does not have: cannot be trained
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"
)
ENDS_BEFORE = (  # the token that ends turns stands before an answer, too
    "{% for m in messages %}{{ m['content'] if m['role'] == 'user' else eos_token + m['content'] + eos_token }}{% endfor %}"
)
NO_SYSTEM = (  # as Phi-3: nothing of a system prompt is written
    "{% for m in messages if m['role'] != 'system' %}"
    "{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
REFUSES_SYSTEM = (  # as Gemma: a system prompt is an error
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    + NO_SYSTEM
)
