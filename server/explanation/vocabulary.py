"""The words that join and report, by the company in which they may stand.

A word is known only in a part of a sentence that is about what the word is listed for, so that nothing can be said
with
it of a patient, a disease or what to do about it. Left out on purpose: negation, and whatever states an illness or a
treatment, a part or state of the body, a judgement (*good*, *serious*), a size (*slightly*), certainty or doubt
(*certainly*, *may*), a cause (*because*), time (*still*, *again*), completeness (*entire*) or a request.
"""

from typing import Final


def words(text: str) -> frozenset[str]:
    """Return the words of a text that lists them."""
    return frozenset(text.split())


COPULAS: Final = words("is are was were be been being has have had")
DETERMINERS: Final = words("""
the a an this that his her their its these those patient's person's record's subject's individual's model's detector's
overall final resulting calculated computed estimated corresponding given present relevant applicable respective
""")
JOINING: Final = words("""
a an the this that these those it its is are was were be been being has have having had of in on at by for to with as
and also so thus hence therefore thereby accordingly consequently overall both all each who whose what there here i.e.
patient patient's person person's individual individual's subject subject's case record record's their them they
he she his her him plus since because
""")
"""Words that may stand anywhere."""

_MODEL: Final = words("""
model model's detector detector's system system's tool tool's algorithm algorithm's forest isolation computer
computer's software method analysis assessment evaluation calculation computation screening output
""")
_FACTORS: Final = words("""
factor factors feature features variable variables parameter parameters characteristic characteristics component
components element elements item items aspect aspects attribute attributes finding findings value values measure
measures measurement measurements reading readings input inputs data field fields detail details
""")
_PARTS: Final = words("""
contribution contributions contributor contributors influence influences impact impacts effect effects role roles
direction directions weight weights share change changes shift shifts pull push pressure force forces part parts
""")

OF_THE_RESULT: Final = (
    _MODEL
    | _FACTORS
    | words("""
level levels category categories rating ratings grade band tier group class classification stratum strata position
result results result's basis comparison combination profile picture pattern list summary sample reference table
number
allocation assignment placement information terms respect line numbers estimate explanation
give gives gave given giving assign assigns assigned assigning place places placed placing put puts putting fall falls
fell falling lie lies lay lying sit sits sat sitting stand stands stood standing rank ranks ranked rate rates rated
grades graded classed classify classifies classified classifying categorise categorises categorised categorize
categorizes categorized label labels labelled labeled deem deems deemed consider considers considered designate
designates designated mark marks marked flag flags flagged receive receives received receiving carry carries carried
attain attains attained achieve achieves achieved register registers registered earn earns earned land lands landed
yield yields yielded yielding produce produces produced producing return returns returned provide provides provided
correspond corresponds corresponded corresponding belong belongs translate translates translated translating convert
converts map maps mapped amount amounts constitute constitutes represent represents representing form forms show shows
showed shown showing indicate indicates indicated indicating suggest suggests suggesting point points pointing
demonstrate demonstrates demonstrating reveal reveals revealing display displays describe describes described
summarise
summarises summarised summarize summarizes summarized report reports reported reporting find finds found note noted
listed compare compares compared comparing calculate calculates calculated compute computes computed obtain obtains
obtained estimated estimates observed recorded entered presented presents identify identifies identified identifying
remaining stated named called expressed express expresses take takes took taken brought bring brings make makes made
making come
comes came coming reach arrive arrives arrived mean means meaning reflect reflects reflected reflecting derived
emerges
base based according accord accordance result resulting results set used using use uses seen leading leads lead
allocate
allocates allocated influenced shaped determined affected decided judged judges assessed evaluated evaluates
characterised characterized attributed attributable due owing arises arose trained
remain remains remained stay stays stayed keeps reads works out required needed applicable relevant
into within than against versus vs compared relative respective associated automated automatic statistical
computational
individual current corresponding final estimated clinical given together which where how among amongst per
""")
)
"""Words beside the score, a threshold, the risk level, or the disease-free patients."""

OF_THE_MOVES: Final = (
    _MODEL
    | _FACTORS
    | _PARTS
    | words("""
driver drivers extent degree result results list reason reasons side way toward towards from out
push pushes pushed pushing pulls pulled pulling bring brings brought bringing move moves moved moving shifted shifting
nudge nudges nudged nudging tip tips tipped tipping go goes went going keep keeps kept keeping hold holds held holding
make makes made making come comes came coming act acts acted acting work works worked working help helps helped
helping
serve serves served favour favours favor favors play plays played playing exert exerts exerted exerting affect affects
affected affecting influenced influencing impacted impacting determine determines determined determining shape shapes
shaped shaping take takes took taken taking give gives gave given giving lead leads led leading result results
resulted
resulting attributed attributable linked associated connected due owing thanks see seen find found noted noted include
includes included including involve involves follow follows following combine combines combined add adds added swing
swings steer steers steered tilt tilts tilted lean leans leaned jump jumps account accounts reflect reflects reflected
reflecting point points pointing pointed provide provides provided providing produce produces produced has show shows
shown showing listed identified considered named do does did doing done responsible used using count counts counted
climb climbs climbed drag drags dragged dragging send sends sent sending carry carries carried ranks stands tend
tends weighs weigh led head
arise arises arose stem stems stemmed emerge emerges derive derives derived originate originates
matter matters mattered
too likewise similarly additionally moreover furthermore notably specifically together along alongside through via
such
namely other another further partly partially which where respective individual overall general among amongst into
main net opposite opposing like within
""")
)
"""Words beside what raises or lowers the score, or ranks the factors."""

OF_A_FINDING: Final = (
    _FACTORS
    | _PARTS
    | words("""
level levels result results test exam examination list order
show shows showed shown showing indicate indicates indicating demonstrate demonstrates demonstrated reveal reveals
revealed found find finds seen noted recorded recording measured measuring observed reported described classed
classified given listed presented presents presenting presence identified entered regarding detector model takes
treats place set include includes included including
comes come came from due owing thanks together along alongside such namely following follows followed among amongst
besides like where which side taken considered shaped influenced driven combined combination associated reflect
reflects
reflected reflecting has influenced
do does did additionally furthermore moreover notably specifically other another within into
""")
)
"""Words beside a field or its value."""

OF_A_GAP: Final = words("""
went left remain remains remained being reason meaning means why take takes took treats treated assumes regarding
marked listed reported flagged
value values measurement measurements reading readings result results data information field fields following item
items
set taken assumed considered regarded used place instead its therefore made account model detector calculation
analysis
assessment entered recorded available replaced substituted which result where standing stand stands stood note entry
entries
""")
"""Words beside what was not measured, or lies outside the model's range."""

ALONE: Final = (
    _MODEL
    | _FACTORS
    | words("""
summary short brief contrast comparison addition conclusion turn light view basis total sum balance detail particular
result results number numbers terms word words name note line order list listed follow follows following other others
them these combination
based according taken together look looking compared considered considering given using used combined shown seen noted
added named reported recorded assessed measured observed said returned calculated computed produced assigned obtained
provided
additionally moreover furthermore likewise similarly notably specifically namely meanwhile nevertheless nonetheless
too
partly partially further which where such dear colleague regarding from into among amongst within relative remaining
respective individual available clinical automated main category level do does did
""")
)
"""Words of a part that is about none of these, such as *based on the model*."""

WORDS: Final = JOINING | OF_THE_RESULT | OF_THE_MOVES | OF_A_FINDING | OF_A_GAP | ALONE

ORDERS: Final = frozenset(
    [
        *("take", "give", "put", "get", "use", "keep", "hold", "bring", "push", "pull", "move", "shift", "go", "come"),
        *("follow", "compare", "make", "help", "see", "find", "apply", "combine", "start", "begin", "stay", "turn"),
        *("treat", "provide", "obtain", "return", "include", "consider", "calculate", "measure", "report", "review"),
        *("raise", "lower", "reduce", "increase", "decrease", "lift", "boost", "lessen", "dampen", "drop", "rate"),
        *("look", "note", "list", "name", "assign", "place", "set", "show", "let", "act", "work", "add", "count"),
    ]
)
"""Verbs that, where a sentence begins with them, tell somebody to do something."""
