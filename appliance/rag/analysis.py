"""Terms of a French text, as the function `lex_analyze` of the database gives them.

The decision and the extraction count what the search counts: the same words, split, stemmed and
folded alike. A test compares the two on thousands of texts. Pure.
"""

import re
import unicodedata
from collections import Counter
from functools import lru_cache

import snowballstemmer  # type: ignore[import-untyped]

_LONGEST = 64  # characters of a term
_REMEMBERED = 50_000  # words; a text that floods them only costs the time of its stems

# Words without meaning of their own: the list of PostgreSQL's `french` configuration.
_STOP = frozenset(
    """au aux avec ce ces dans de des du elle en et eux il je la le leur lui ma mais me même
    mes moi mon ne nos notre nous on ou par pas pour qu que qui sa se ses son sur ta te tes
    toi ton tu un une vos votre vous c d j l à m n s t y été étée étées étés étant étante
    étants étantes suis es est sommes êtes sont serai seras sera serons serez seront serais
    serait serions seriez seraient étais était étions étiez étaient fus fut fûmes fûtes furent
    sois soit soyons soyez soient fusse fusses fût fussions fussiez fussent ayant ayante
    ayantes ayants eu eue eues eus ai as avons avez ont aurai auras aura aurons aurez auront
    aurais aurait aurions auriez auraient avais avait avaient avions aviez eut eûmes eûtes
    eurent aie aies ait ayons ayez aient eusse eusses eût eussions eussiez eussent""".split()  # noqa: SIM905 - prose
)
# Stems that the list above forgets, as in the migration of `lex_analyze`.
_STOP_STEMS = frozenset(
    """a ains auss avoir cet combien comm comment donc dont elle entre etre fait il laquel le
    lequel lesquel leur lor ni ou plus pourquoi quand quel quoi si tous tout tres""".split()  # noqa: SIM905 - prose
)
_SIGNS = str.maketrans("\u2019\u2010\u2011\u2013\u00a0\u202f", "'---  ")
_JOINT = re.compile(r"(?<=\w)[-/](?=\w)")
_THOUSANDS = re.compile(r"(?<=\d) (?=\d{3}\b)")
_FOLD = str.maketrans("àâäáãåçéèêëíîïìñóôöòõúùûüýÿ", "aaaaaaceeeeiiiinooooouuuuyy")

# Tokens of PostgreSQL's parser, in its order of preference; only `word` is stemmed.
_TOKEN = re.compile(
    r"""
    (?P<none> </?[A-Za-z][^<>]*> | &(?:[A-Za-z]+ | \#[0-9]+); | [A-Za-z]{2,}:// )
    | (?P<email> [\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,} )
    | (?P<file> (?<!\w)/[A-Za-z0-9_.]*[A-Za-z0-9_]
        | (?<![^\W_])[A-Za-z][A-Za-z0-9]*+(?:\.[A-Za-z0-9_]+)++(?!\w)
        | \d+(?:\.\d+)*\.[A-Za-z]{2,}(?!\w) )
    | (?P<number> (?:(?<![\w.])[-+])?\d+(?:\.\d+)++
        | (?:(?<![\w.])[-+])?\d++(?:[eE][-+]?\d+)?(?![^\W_]) )
    | (?P<word> (?:[^\W\d_\u00b2\u00b3\u00b9\u00bc-\u00be][\u0300-\u036f]*)++(?!\d) )
    | (?P<mixed> [^\W_\u00b2\u00b3\u00b9\u00bc-\u00be]+ )
    """,
    re.VERBOSE,
)
# What makes a token that is not a plain word, or a word that is more than letters.
_ODD = re.compile(r"[\d@&<>/_\u00b2\u00b3\u00b9\u00bc-\u00be\u0130\u0300-\u036f]|\w\.\w")
_LETTERS = re.compile(r"[^\W\d_]+")
_stemmer = snowballstemmer.stemmer("french")


@lru_cache(_REMEMBERED)
def _stem(word: str) -> str:
    """Return the folded stem of a word in lower case; empty for a stop word."""
    stem = "" if word in _STOP else str(_stemmer.stemWord(word)).translate(_FOLD)
    return "" if len(stem) > _LONGEST or stem in _STOP_STEMS else stem


def normal(text: str) -> str:
    """Return the text as it is split: one form of accents, signs and numbers."""
    text = unicodedata.normalize("NFC", text).replace("œ", "oe").replace("Œ", "Oe")
    return _THOUSANDS.sub("", _JOINT.sub(" ", text.translate(_SIGNS)))


def terms(text: str) -> list[str]:
    """Return the terms of a text, in order, with repetitions."""
    text = normal(text)
    if _ODD.search(text) is None:  # most sentences; a third of the time
        return [stem for word in _LETTERS.findall(text.lower()) if (stem := _stem(word))]
    return [term for match in _TOKEN.finditer(text) if (term := _term(match))]


def _term(match: re.Match[str]) -> str:
    """Return the term of a token; empty for none."""
    kind, token = match.lastgroup, match[0].lower()
    if kind == "word":
        return _stem(token)
    term = token.translate(_FOLD)
    return "" if kind == "none" or len(term) > _LONGEST or term in _STOP_STEMS else term


def frequencies(text: str) -> Counter[str]:
    """Return each term and how often it occurs: the rows of `lex_analyze`."""
    return Counter(terms(text))
