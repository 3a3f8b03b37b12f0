"""The phrases that mean something of their own, by kind: those that hold numbers first, then symbols, then the "
"rest."""

import re
from collections.abc import Iterable

from server.explanation.kinds import Kind
from server.explanation.naming import FIELD_OF_NAME, NUMBER_WORDS, OF_A_NAME, UNITS, VALUE_OF_WORD


def _any(phrases: Iterable[str]) -> str:
    return "|".join(re.escape(phrase.lower()) for phrase in sorted(phrases, key=len, reverse=True))


_DIGITS = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=$|[\s,;:)%]|\.(?:\s|$)|-year-old|mm|mg|bpm)"
_NUMBER = rf"(?:{_DIGITS}|{_any(NUMBER_WORDS)})"
_THRESHOLD = r"(?:thresholds?|cut-?offs?)"
LEVELS = r"(?:low|medium|high)"

_READING = r"(?:measurements?|readings?|values?|data|results?|information)"
_NO_READING = (
    rf"no {_READING} (?:was|were|is|are) (?:made|given|taken|available|recorded|obtained|entered|provided|reported)|"
    rf"no {_READING} (?:exists?|existed)|no {_READING}(?= (?:of|for|on) )|"
    rf"absence of (?:an? |any )?{_READING}(?: (?:of|for))?"
)
_REACHING = r"reach(?:es)?|meets?|equals?|exceeds?|attains?|match(?:es)?"
_POPULATION = (
    r"disease[- ]free(?: reference| training)?"
    r"(?: patients| individuals| people| adults| persons| group| population| records)?"
    r"(?: with the same fields not measured)?"
)
_PLACES = "(?:first|second|third|fourth|fifth)"
_SIZE = "influence|importance|weight|size|effect|contribution"
_LARGEST = "(?:largest|strongest|biggest|greatest)(?: single)?"
_COUNTED = (
    r"(?:factor|field|value|measurement|item|finding|feature|contributor|reading|result|entr(?:y|ie)|"
    r"variable|element)s?"
)
WORDS_FIRST: tuple[tuple[Kind, str], ...] = (
    (
        Kind.COUNT,
        rf"(?:one|two|three|four|five)(?= (?:(?:of the|of these|other|main|key|given|remaining|further|largest|"
        rf"leading|"
        rf"contributing|unmeasured) )*{_COUNTED}(?![\w-]))|all (?:two|three|four|five)(?= of | {_COUNTED}|,)|"
        rf"other (?:two|three|four)(?=,| {_COUNTED})",
    ),
    (
        Kind.RANK,
        rf"{_PLACES}(?:[- ](?:most (?:influential|important|relevant)|{_LARGEST}|main|key))?(?= (?:factor|"
        rf"contributor|"
        r"influence|contribution|driver|effect|finding|feature|place|rank|position|to|most|in|on|after|only|is\b))|"
        rf"{_PLACES}[- ]{_LARGEST}|in (?:the )?{_PLACES} place|(?:ranks?|comes?|stands?) {_PLACES}|"
        rf"{_PLACES} one",
    ),
    (Kind.RELATION, "no (?:lower|less) than"),
    (Kind.WORD, "(?<!the )one(?= (?:that|which) )"),
    (Kind.FIELD, rf"(?:{_any(FIELD_OF_NAME)}){OF_A_NAME}"),
    (Kind.SHARE, r"most(?= (?:of (?:the )?)?disease-free)"),
    (Kind.VALUE, r"90 (?:years )?or (?:older|over|above)"),
    (
        Kind.WORD,
        r"on (?:the )?(?:one|other) (?:hand|side)|on the other(?=,)|do(?:es|ing) the same|as well|all of (?:which|"
        r"them|these)|c[ao]mes? (?:back|out|about)|"
        r"on account of|one (?:after|by) (?:one|another)|one of|notable for|we (?:have|see)|"
        r"(?:please )?note that|it (?:is|should be) noted that|of note|i\.e\.|of (?:the|these) three(?= )|"
        r"the same (?:is true|is the case|applies|holds|goes)(?= (?:of|for|to))|"
        r"anomaly[- ](?:detect(?:or|ion)(?: model| system)?|model|screening|assessment|analysis|algorithm|system)"
        r"(?:'s)?|at the same time|against this(?=,)|that is(?=,)",
    ),
)
PHRASES: tuple[tuple[Kind, str], ...] = (
    (
        Kind.SAME,
        r"in (?:the|this|that) same (?:direction|way)|by the same token|along the same lines|to the same effect|"
        r"the same (?:way|direction|effect)",
    ),
    (
        Kind.OPPOSITE,
        r"in the (?:opposite|other) direction|(?:on|to) the contrary|(?:in )?the (?:other|opposite) way|the "
        r"reverse(?= effect)?|"
        r"the (?:opposite|reverse) (?:holds|is true|applies|is the case|goes)(?= (?:for|of|to|with))|the opposite|"
        r"(?:an )?opposite effect|unlike (?:this|these|that|it|them)(?=,)",
    ),
    (
        Kind.WORD,
        r"even so|that said|equally(?=,)|besides(?: (?:this|that|it|these))?(?=,)|beyond (?:that|this)(?=,)|what "
        r"is more|"
        r"next in line|to (?:summari[sz]e|sum up)(?=,)|for this reason|for (?:its|their) part|(?:set |working |"
        r"acting )?against (?:it|this|that)(?=,)|"
        r"(?:opposing|counter to) (?:it|this|that)(?=,)|along with (?:it|this|these|them)(?=,)|turning to|in "
        r"opposition|"
        r"because of|in (?:the )?meantime|on top of (?:this|that|it)|apart from (?:this|that)",
    ),
    (
        Kind.PASSED,
        r"(?:is|are|was|were|has been|have been) (?:also )?(?:not |not yet )?(?:reached|met|exceeded|surpassed|"
        r"crossed|passed)"
        r"(?: or (?:reached|exceeded|surpassed))?(?: by (?:the |this |its |an? )?(?=(?:patient's |record's |"
        r")?(?:anomaly )?scores?))?",
    ),
    (Kind.OPENING, r"let us (?:look at|see)|here (?:is|are)"),
    (
        Kind.UNKNOWN,
        r"(?:is|are|was|were) to(?! (?:raise|lower|increase|reduce|decrease|push|pull|move|lift) (?:it|the "
        r"(?:anomaly )?score))|"
        r"(?:has|have|had|yet|about) to(?: be)?|all but|next to|most of(?! (?:the )?disease-free| all)|"
        rf"(?:accounts? for|explains?) (?:the|this|its) (?:anomaly )?(?:scores?|result|risk|level|{LEVELS})",
    ),
    (Kind.UNIT, "|".join(UNITS.values())),
    (
        Kind.ABSENT,
        r"(?:not|could not be|cannot be) (?!taken (?:as|to))(?:been )?(?:measured|available|recorded|obtained|"
        r"provided|given|entered|reported|supplied|"
        r"performed|documented|assessed|determined|tested|included|taken|done|made|noted|present in the record)|"
        r"unknown|"
        r"(?:not (?:among|part of|in)|absent from|missing from) the (?:measurements|measured values|data|record|"
        r"entered values)|"
        r"without a (?:measurement|value|reading)|"
        rf"not having been measured|unmeasured|unavailable|missing|{_NO_READING}",
    ),
    (Kind.OUTSIDE, r"outside (?:the|its) (?:model's )?range(?: (?:that )?the model was made for)?|less certain"),
    (Kind.VALUE, _any(VALUE_OF_WORD)),
    (
        Kind.TYPICAL,
        rf"(?:taken|assumed|set|considered|regarded|treated|entered|counted|counts?|handled|used|presumed|"
        rf"replaced|substituted|"
        rf"given|assigned|deemed|supposed|held)"
        rf"(?: as if| as| to be| to have| to take| to| at| by| with)? (?:being )?(?:a |its |the )?typical(?: "
        rf"values?)?(?! angina)"
        rf"(?: (?:of|for) {_POPULATION})?|as typical(?! angina)|"
        rf"typical values?(?: (?:of|for) {_POPULATION})?",
    ),
    (Kind.THRESHOLD, rf"{LEVELS}(?:[- ]risk)?(?:[- ]level)?(?:'s)? {_THRESHOLD}(?: value)?"),
    (
        Kind.THRESHOLD,
        rf"{_THRESHOLD} (?:required |set |needed |value )?(?:for|of) (?:a |the )?{LEVELS}(?: "
        rf"risk)?(?: level)?",
    ),
    (Kind.THRESHOLD, rf"{_THRESHOLD}(?: value)?"),
    (Kind.LEVEL, rf"{LEVELS}(?:-risk)?"),
    (Kind.SCORE, r"anomaly scores?|scores?|scored|scoring"),
    (Kind.RISK, r"risk"),
    (Kind.UNUSUAL, r"more (?:unusual|anomalous|atypical)"),
    (Kind.POPULATION, _POPULATION),
    (Kind.SEQUENCE, r"in order(?=,)"),
    (Kind.WORD, r"how (?:unusual|anomalous|atypical)"),
    (
        Kind.FIRST_OF_ALL,
        r"of all(?: the)?(?: factors| features| findings)?|"
        r"most (?:influential|important|relevant|significant|prominent|powerful)|above all|matters? most",
    ),
    (
        Kind.RELATION,
        rf"(?:{_REACHING}) or (?:exceeds?|surpass(?:es)?|is (?:above|over))|(?:equal(?:s|ling)?(?: to)?|at) or "
        rf"(?:above|over|higher than|greater than|exceed(?:s|ing))|(?:does|did|do) not (?:reach|meet|exceed|"
        rf"surpass|attain)|"
        rf"(?:fails|failed) to (?:reach|meet|attain)|attain(?:s|ed)?(?= (?:the|its) (?:low|medium|high|"
        rf"threshold))|at least(?= (?:at )?(?:the|its|a) )|not as high as|"
        rf"(?:greater|higher) than or equal to|not (?:at or above|above|below|over|under|lower than)|falls short "
        rf"of|short of|"
        r"(?:on|at) or (?:above|over|beyond|past)|(?:has|have|had) not (?:yet )?(?:reached|met|exceeded|surpassed)|"
        r"at or below|at least at|no (?:less|lower) than|cross(?:es|ed|ing)?|pass(?:es|ed|ing)?|past|beyond|clears|"
        r"at(?= (?:a |the |its )?(?:(?:low|medium|high)[- ])?(?:risk )?(?:threshold|cut))|"
        r"between|above|over|exceed(?:s|ed|ing)?|(?:higher|greater) than|surpass(?:es|ed|ing)?|"
        r"reach(?:es|ed|ing)?|meets?|met|below|under|beneath|(?:lower|less|smaller) than",
    ),
    (
        Kind.RAISES,
        r"rais(?:e|es|ed|ing)|increas(?:e|es|ed|ing)|elevat(?:es|ing)|lift(?:s|ed|ing)?|boost(?:s|ed|ing)?|"
        r"add(?:s|ed|ing)?(?: to|(?= (?:most|mainly|also|further|strongly|mostly) to))|upwards?|higher|up|"
        r"elevated by|inflat(?:es|ed|ing)|heighten(?:s|ed|ing)?|"
        r"augment(?:s|ed|ing)?|amplif(?:y|ies|ied)|positive(?:ly)?|rises?|rising|elevation",
    ),
    (
        Kind.LOWERS,
        r"lower(?:s|ed|ing)?|reduc(?:e|es|ed|ing|tion)|decreas(?:e|es|ed|ing)|diminish(?:es|ed|ing)?|downwards?|down|"
        r"depress(?:es|ed|ing)?|(?:takes?|taking|took) away from|(?:subtract|detract)(?:s|ed|ing)? from|"
        r"f[ae]lls?(?= (?:with|because of|due to|owing to|on account))|drop(?:s|ped)?|lessen(?:s|ed|ing)?|"
        r"dampen(?:s|ed|ing)?|"
        r"negative(?:ly)?",
    ),
    (
        Kind.CONTRIBUTES,
        r"contribut(?:e|es|ed|ing)|driv(?:e|es|en|ing|ers?)|support(?:s|ed|ing)?|explain(?:s|ed|ing)?|"
        r"account(?:s|ed|ing)? for",
    ),
    (
        Kind.OPPOSES,
        r"offsets?|offsetting|counter(?:s|ed|ing)?|counteract(?:s|ed|ing)?|counterbalance[sd]?|compensated?|balanced|"
        r"tempered|moderated|mitigate[sd]?|mitigating",
    ),
    (Kind.LESSER, r"to a (?:lesser|smaller) (?:extent|degree)|less strongly|lesser|smaller"),
    (
        Kind.SEQUENCE,
        r"followed by|first(?:ly)?|second(?:ly)?|third(?:ly)?(?! of)|next|then|finally|lastly|last(?=,)|subsequently|"
        rf"in (?:descending|decreasing|this|that|the following) order(?: of (?:{_SIZE}))?|"
        rf"in (?:the )?order of (?:{_SIZE})|in turn|"
        r"after (?:that|this|it)|thereafter",
    ),
    (
        Kind.FIRST,
        r"most strongly|most of all|the most(?! (?:influential|important|relevant|significant|prominent|"
        r"powerful))|most notably|most(?:ly)?|"
        r"main(?:ly)?|largely|chief(?:ly)?|(?:largest|strongest|biggest|greatest)(?: single)?|primar(?:y|ily)|"
        r"principal(?:ly)?|"
        r"more than (?:the|any|all)(?: of the)? others?(?: factors?)?(?: does| do| did)?|"
        r"dominant|leading(?! to)|foremost|especially|particularly|key|top|important|major(?! vessel)",
    ),
    (
        Kind.CONTRAST,
        r"while|whilst|whereas|but|although|though|yet|however|(?:in|by) contrast|conversely|"
        r"despite(?= (?:the |a |an |its )?(?:rais|lower|upward|downward|positive|negative|increas|decreas|reduc))",
    ),
    (Kind.AND, "and"),
)

SYMBOLS: tuple[tuple[Kind, str], ...] = (
    (Kind.SHARE, rf"(?<![\w.])(?:less than |at least )?{_NUMBER} ?(?:%|percent\b|per cent\b)"),
    (Kind.NUMBER, rf"(?<![\w.]){_NUMBER}(?!\w)|(?<![\w.]){_DIGITS}"),
    (Kind.UNIT, rf"(?<=\d)(?:{'|'.join(UNITS.values())})\b|-year-old"),
    (Kind.CONTRAST, ";"),
    (Kind.AND, "[,:–—]|(?<= )-(?= )"),
    (Kind.BRACKET, r"[()]"),
)
