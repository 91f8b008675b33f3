"""IFEval: does a response follow verifiable instructions, such as "no commas" or "at least 300 words"?

J. Zhou et al., "Instruction-Following Evaluation for Large Language Models", 2023. Verdicts are those of the authors' program
(google-research, instruction_following_eval) but where that program draws random numbers or downloads a sentence model;
docs/metrics.md says where. `kinds.py` lists the 25 kinds of instructions, one module a family has their checks.
"""
