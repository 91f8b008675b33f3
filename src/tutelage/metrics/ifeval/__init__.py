"""IFEval: does a response follow verifiable instructions, such as "no commas" or "at least 300 words"?

J. Zhou et al., "Instruction-Following Evaluation for Large Language Models", 2023. Verdicts are those of the authors' program
(google-research, instruction_following_eval) except where that program draws random numbers or downloads a sentence model;
docs/metrics.md lists the differences. `kinds.py` has the 25 kinds of instructions; each family of checks is a module.
"""
