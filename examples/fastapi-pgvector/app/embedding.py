"""Turn text into a vector without a model: words and their parts, hashed into a fixed number of dimensions.

Texts that share words, or parts of words, get vectors with a small angle between them; it knows no synonyms. That is
enough for an example, which downloads nothing. A real embedding model takes the place of `embed`, and its number of
dimensions that of `DIMENSIONS` and of the column in the migration.
"""

import math
import re
from collections.abc import Iterator
from hashlib import blake2b

DIMENSIONS = 1024
_PART = 3


def embed(text: str) -> list[float]:
    vector = [0.0] * DIMENSIONS
    for feature in _features(text):
        number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "big")
        # With a sign, two features that fall into one dimension cancel out as often as they add up.
        vector[number // 2 % DIMENSIONS] += 1.0 if number % 2 else -1.0
    length = math.hypot(*vector)
    return [value / length for value in vector]


def _features(text: str) -> Iterator[str]:
    words = re.findall(r"\w+", text.casefold())
    yield f"text {' '.join(words)}"  # so that no vector is zero, not even that of a text without words
    for word in words:
        yield f"word {word}"
        marked = f"<{word}>"
        for start in range(len(marked) - _PART + 1):
            yield f"part {marked[start : start + _PART]}"
