"""
Bugs for the fuzzers to find: (name, fuzzer, source, text, what it becomes). Each is a mistake that is easily made in that source; the fuzzer
starts from its committed corpus, with a fixed seed.
"""

PLANTS = [
]
