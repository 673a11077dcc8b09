# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes tests/golden/prompt.json: texts, and what Wan's cleaning of prompts makes of them, ftfy's fix_text() without its repair of broken
encodings, html.unescape() twice, and white space."""

import html
import json
import re
from pathlib import Path

import ftfy

from tokenizer import PROMPTS

GOLDEN = Path(__file__).resolve().parents[1] / "golden"

TEXTS = PROMPTS + [
    "a cat &amp; a dog, &quot;friends&quot; &lt;3",
    "fish &amp;amp; chips, &amp;amp;amp;lt;b&amp;amp;amp;gt;",
    "caf&eacute; P&EACUTE;REZ &NTILDE; &nTILDE; stra&SZLIG;e &semi; &lbrace;",
    "no semicolon: &amp dog &lt cat &eacute x&notit y &notin; &copy2020 &ampamp; &nosuchentity; &;",
    "&#xDeeeeeeeeeee; &#XDEEEEEEEEEEEx &#99999999999999999999 &#x0000000000041; &#00000000066; &#x1000000; &#10000000;",
    "&#65;&#x42;&#X43; &#8217; &#x2019 &#128512; &#150; &#0; &#xD800; &#1114112; &#99999999999; &#1;|&#11;|&#xfdd0;|&#127;|",
    "<b>bold</b> &ldquo;curly&rdquo; &amp;lt; it\u2019s",
    "first &ldquo;line&rdquo;\n<second> &ldquo;line&rdquo;\nthird &ldquo;line&rdquo; \u2018x\u2019",
    "&lt;b&gt; stays text &amp;ldquo;x&amp;rdquo;",
    "a<b && c>d & e &",
    "\u201cdouble\u201d \u2018single\u2019 \u201alow\u201b \u201elow\u201f \u02bcn \u00abguillemets\u00bb \u2032prime\u2033",
    "\ufb00 \ufb01 \ufb02 \ufb03 \ufb04 \ufb05 \ufb06 \u0132 \u0133 \u0149 \u01c4 \u01c5 \u01c6 \u01c7 \u01ca \u01cc \u01f1 \u01f3 "
    "\ufb13 \u0153 \u00e6",
    "\uff21\uff22\uff23\uff11\uff12\uff01 \uff55\uff80\uff70\uff9d \uff76\uff9e \uffe5\uffe6 \uffe8 \u3000wide\u3000space",
    "\u2460 \u00bd x\u00b2 \u2122 \u2026 \u2014 \u2013 stay",
    "cafe\u0301 \u0041\u030a \u1100\u1161 \u212b e\u0323\u0302 \u0344",
    "\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[m \x1b[?25h bell\x07 back\x08space del\x7f us\x1fend vt\x0bend",
    "bom\ufeffmark \u200bzero\u200d joiner\u2060 \u206a\u206f \ufff9note\ufffa\ufffb obj\ufffc rep\ufffd \u202ebidi\u202c soft\u00adhyphen",
    "crlf\r\nline\rreturn\u2028sep\u2029par\x0cfeed\ttab",
    "&nbsp;&emsp;padded&nbsp;",
    "   &amp;   ",
    "\u00bfQu\u00e9? \u98de\u673a &Jscr;ohn &HilbertSpace;ancock &checkmark; &NotEqualTilde; \U0001f388 &#x1F388;",
    "&lt;script&gt;alert('x')&lt;/script&gt; </body> <!-- no comment --> <![CDATA[x]]>",
]


def clean(text):
    """whitespace_clean (basic_clean (text)) of Wan's pipelines"""
    text = ftfy.fix_text(text, fix_encoding=False, fix_c1_controls=False)
    text = html.unescape(html.unescape(text)).strip()
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    cases = [{"prompt": text, "clean": clean(text)} for text in TEXTS]
    whole = sum(re.sub(r"\s+", " ", html.unescape(html.unescape(ftfy.fix_text(case["prompt"])))).strip() == case["clean"] for case in cases)
    print(f"{whole} of {len(cases)} are the same with the repair of broken encodings")
    (GOLDEN / "prompt.json").write_text(json.dumps(cases, indent=1) + "\n")
