"""Pre-tokenisation: a text is cut into the words within which byte-pair encoding may merge.

What counts as a word decides which tokens can exist. The pattern is GPT-2's, with one rule more:
a word in quotes is to be written in a picture, so it is spelled.
"""

import regex

# GPT-2's pattern. No merge crosses the boundary between two matches, so "star" and "star!" share
# a token. A word includes the space before it: " star" can be one token.
WORD = regex.compile(
    r"'(?:[sdmt]|ll|ve|re)"  # the end of an English contraction
    r"| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+"  # a word, a number, punctuation or an emoji
    r"|\s+(?!\S)|\s+"  # spaces, except the last, which belongs to the next word
)

# A letter of a word in quotes, which may be up to twelve letters long.
BEFORE = "|".join(r" '" + r"\p{L}" * n for n in range(12))
SPELLED_OR_WORD = regex.compile(rf"(?<={BEFORE})\p{{L}}(?=\p{{L}}*')|{WORD.pattern}")


def split_words(text: str) -> list[str]:
    """Lower-case and cut into words: "Two red stars!" → ["two", " red", " stars", "!"].

    A word in quotes is to be written in the picture, so it is cut into letters; as one token it
    would hide them: "says 'dog'" → ["says", " '", "d", "o", "g", "'"]. (The first twelve letters.)
    """
    return SPELLED_OR_WORD.findall(whole(lower(text)))


def lower(text: str) -> str:
    """Lower case, letter by letter; Python's `lower` treats Σ at the end of a word differently.

    >>> lower("ΟΔΟΣ"), "ΟΔΟΣ".lower()  # `tokenizers` also goes letter by letter
    ('οδοσ', 'οδος')
    """
    return text.replace("Σ", "σ").lower()


def whole(text: str) -> str:
    """The text; raises ValueError for half of a surrogate pair, which UTF-8 cannot encode."""
    half = regex.search(r"[\ud800-\udfff]", text)
    if half:
        code = f"U+{ord(half[0]):04X}"
        raise ValueError(f"the text holds {code}, half a surrogate pair: remove or repair it")
    return text


def shown(text: str) -> str:
    r"""Foreign text for a message: what a terminal would obey, or hide, is escaped.

    >>> shown("blå \x1b[2J")
    'blå \\x1b[2J'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
