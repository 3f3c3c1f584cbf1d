"""Case-insensitive comparison of texts."""

import re
import unicodedata

# Turkish has a dotted and a dotless i, each with a capital of its own: Unicode folds the dotted
# capital to i with a combining dot. A search for one of the four finds all of them.
_DOTTED_OR_DOTLESS_I = re.compile("[i\u0131]\u0307*")


def fold(text: str) -> str:
    """Return a text as it is compared: canonical caseless matching of Unicode (chapter 3.13, D145).

    ß is ss, every sigma is one letter, every i of Turkish is i, and composed and decomposed
    spellings are the same. Folding a folded text does not change it.

    >>> fold("STRASSE") == fold("Straße"), fold("ΟΔΟΣ") == fold("οδος"), fold("İSTANBUL")
    (True, True, 'istanbul')
    """
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", text).casefold()
    folded = unicodedata.normalize("NFD", folded)
    return unicodedata.normalize("NFC", _DOTTED_OR_DOTLESS_I.sub("i", folded))
