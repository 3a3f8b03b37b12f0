"""The words that join and report: with them alone nothing can be said of a patient, a disease or what to do about it.

Left out on purpose: negation, and whatever states an illness or a treatment, a part or state of the body, a judgement
(*good*, *serious*), a size (*slightly*), certainty or doubt (*certainly*, *may*), a cause (*because*) or a request.
"""

from typing import Final

_NOUNS = """
patient patient's person individual individual's subject case record records record's data dataset information file
form sheet entry entries input inputs reading readings measurement measurements value values result results result's
outcome outcomes finding findings factor factors feature features variable variables parameter parameters measure
measures characteristic characteristics component components element elements item items observation observations
attribute attributes detail details aspect aspects field fields combination mix set picture pattern profile list table
breakdown overview outline summary narrative text paragraph sentence sentences word words term terms note remark
comment statement report reports description model model's models detector detector's algorithm algorithm's tool
tool's forest isolation anomaly anomalies system system's computer computer's software program programme machine
method procedure process approach technique detection screening assessment evaluation analysis review explanation
interpretation calculation computation prediction estimation output outputs index scale level levels category
categories group groups class classes classification rating ratings grade band tier zone bracket position rank ranking
order place number figure figures estimate amount size magnitude mark contribution contributions contributor
contributors influence influences impact impacts effect effects role roles direction directions weight weights part
parts share change changes shift shifts pull push net force forces side sides way ways extent degree degrees point
points basis ground grounds source sources origin reason reasons association relation relationship link connection
comparison respect regard light line view hand turn addition conclusion sample reference others them total sum whole
remainder subject's stratum strata allocation assignment placement standing movement look glance numbers reader user
team colleague dear heading headline caption page screen story explanations cases pieces piece bearing swing evidence
chart strength
"""

_VERBS = """
is are was were be been being has have had having give gives gave given giving assign assigns assigned assigning place
places placed placing put puts putting fall falls fell fallen falling lie lies lay lying sit sits sat sitting stand
stands stood standing rank ranks ranked ranking rate rates rated rating grade grades graded classed classify
classifies classified classifying categorise categorises categorised categorize categorizes categorized label labels
labelled labeled deem deems deemed considered considers designate designates designated marks marked flag flags
flagged receive receives received receiving carry carries carried attain attains attained achieve achieves achieved
register registers registered earn earns earned land lands landed stay stays stayed end ends ended begin begins began
start starts started yield yields yielded yielding produce produces produced producing return returns returned provide
provides provided providing correspond corresponds corresponded corresponding belong belongs belonged equal equals
translate translates translated translating convert converts map maps mapped amounts constitute constitutes represent
represents represented representing form forms formed comprise comprises consist consists contain contains contained
show shows showed shown showing indicate indicates indicating suggest suggests suggesting pointed pointing demonstrate
demonstrates demonstrated demonstrating reveal reveals revealed revealing display displays displayed appear appears
appeared describe describes described describing summarise summarises summarised summarize summarizes summarized
reported reporting see sees seen saw seeing find finds found noted notes noting listed lists include includes included
including involve involves involved involving compare compares compared comparing calculate calculates calculated
compute computes computed obtain obtains obtained estimated estimates observe observes observed recorded measured
entered presented detected detects identify identifies identified identifying highlight highlights highlighted named
names name called calls stated states state mentioned mentions said says say tells told express expresses expressed
take takes took taken taking assumed replaced substituted set sets push pushes pushed pushing pulls pulled pulling
bring brings brought bringing move moves moved moving shifted shifting nudge nudges nudged nudging tip tips tipped
tipping go goes went going keep keeps kept keeping hold holds held holding make makes made making come comes came
coming act acts acted acting work works worked working help helps helped tend tends serve serves served favour favours
favor favors remain remains remained remaining following use uses used using base based according resulting result
arise arises arose emerge emerges emerged derive derives derived originate originates stem stems stemmed turns turned
become becomes became get gets got play plays played exert exerts exerted shape shapes shaped affect affects affected
affecting influenced influencing impacted impacting determine determines determined determining mean means meant
reflect reflects reflected reflecting depend depends relate relates related concern concerns apply applies applied
matter matters attributed attributable linked associated connected tied combined combine combines regarded regards
viewed leaves left look looks looked looking let read allocate allocates allocated swing swings swung steer steers
steered tilt tilts tilted lean leans leaned head heads headed jump jumps jumped bear bears bore run runs ran refers
pertain pertains owe owes owed sum sums summed add adds arrive arrives arrived presents
"""

_FUNCTION_WORDS = """
a an the this that these those it its it's itself his her he she they their theirs there here we our us who whose whom
which what of in on at by for from to with within into onto as than against toward towards among amongst along
alongside via through upon about around regarding concerning besides beside like relative due owing thanks also too
again both each same such other another together still already so thus hence therefore thereby accordingly
consequently additionally moreover furthermore likewise similarly equally meanwhile nevertheless nonetheless instead
overall notably specifically simply directly namely collectively jointly further partly partially once during after
where how currently particular general short brief one's out plus versus per whereby yet
"""

_ADJECTIVES = """
automated automatic statistical computational individual current given available resulting corresponding associated
relevant entire full complete several various different separate single additional remaining consistent relative
related comparable underlying contributing respective clinical descending ascending joint new named listed responsible
"""

WORDS: Final = frozenset(word for words in (_NOUNS, _VERBS, _FUNCTION_WORDS, _ADJECTIVES) for word in words.split())

ORDERS: Final = frozenset(
    [
        *("take", "give", "put", "get", "use", "keep", "hold", "bring", "push", "pull", "move", "shift", "go", "come"),
        *("follow", "compare", "make", "help", "see", "find", "apply", "combine", "start", "begin", "stay", "turn"),
        *("treat", "provide", "obtain", "return", "include", "consider", "calculate", "measure", "report", "review"),
        *("raise", "lower", "reduce", "increase", "decrease", "lift", "boost", "lessen", "dampen", "drop", "rate"),
    ]
)
"""Verbs that, where a sentence begins with them, tell somebody to do something."""
