"""Limits on users' files: beyond them there is an error, not a machine that stalls."""

from __future__ import annotations

MAX_LINE_BYTES = 100_000_000
"""One line of a data file, or one CSV row over all its lines."""

MAX_UNPACKED_BYTES = 100_000_000_000
"""The most bytes that one compressed file may unpack to."""

MAX_UNPACK_RATIO = 200
"""How much larger a compressed file may become by unpacking, once it has given the bytes below; text gives 3 to 30."""

FREE_UNPACKED_BYTES = 50_000_000
"""Bytes that a compressed file may unpack to at any ratio."""

MAX_JSON_DEPTH = 64
"""The deepest nesting of lists and objects."""

MAX_INTEGER_DIGITS = 100
"""Digits of an integer in a JSON file; Python itself refuses to read more than 4,300."""

MAX_RENDERED_CHARACTERS = 10_000_000
"""One prompt or completion as a template writes it."""

MAX_TEMPLATE_SECONDS = 5
"""Processor time for one text of a foreign template."""

MAX_TEMPLATE_BYTES = 1 << 30
"""Memory of the process that renders foreign templates."""

MAX_CHAT_FRAME_CHARACTERS = 100_000
"""What a chat template may write besides the messages, such as a system prompt of its own; 1,000 more for each message."""

MAX_CHAT_TEMPLATE_CHARACTERS = 1_000_000
"""A model's chat template; the longest that are published have some 20,000."""

MAX_RECIPE_BYTES = 1_000_000
"""A recipe, a benchmark's spec or a file of templates."""

MAX_ERRORS = 20
"""Different mistakes of one input that are printed; the same one in many places is printed once."""

MAX_MISTAKES = 10_000
"""Mistakes of one input that are counted before the reading stops."""

MAX_ERROR_BYTES = 20_000
"""An error as it is printed, in text or JSON."""

MAX_FILES = 200_000
"""Files and folders that are looked at for one folder or pattern."""

MAX_PATTERN = 1_000
"""Characters of a pattern of file names."""

MAX_YAML_VALUES = 1_000_000
"""Values of a YAML file that another program wrote, with all aliases written out."""

MAX_README_BYTES = 5_000_000
"""The part of a data set's README that is read, whose YAML at the top says which files are which split."""

MAX_RUN_RECIPE_BYTES = 50_000_000
"""A recipe as a run writes it, with all defaults."""

MAX_PATTERN_CHARACTERS = 10_000
"""Characters of a regular expression in a person's file."""

MAX_PATTERN_SECONDS = 2
"""Time for matching one text against such an expression."""

MAX_SETTINGS_BYTES = 64_000_000
"""A settings file of a model's folder (config.json, tokenizer_config.json and the like), or a GGUF file's metadata."""

MAX_VOCABULARY_BYTES = 256_000_000
"""A vocabulary of a model's folder, such as tokenizer.json; the largest in use have about 40 MB."""

MAX_GGUF_ELEMENTS = 4_000_000
"""Entries of all arrays in a GGUF file's metadata together: a vocabulary of 256,000 tokens takes about 1,300,000."""
