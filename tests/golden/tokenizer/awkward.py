"""The texts that tokenizers disagree about: written out by theme, then seeded mixtures of all of them."""

import random

SEED = 415926535

QUOTES = [
    "``quoted''", "`` quoted ''", "```", "````", "'''", "''''", "''", "``", "`", "'", "a ''b`` c", "it''s", "``''", "''``",
    "“curly” ‘single’", "„low“ «guillemets» ‹one›", "\"straight\" 'single'", "don't", "don’t", "rock ’n’ roll", "5'10\"",
    "＂full-width＂", "「日本」『引用』", "《书名》〈篇〉", "she said, ``it's ''odd''.", "\\``tex\\''",
]
NUMBERS = [
    "9,", "9 ,", "9,9", "1,000,000.5", "3.14,", "in 2019, 9, and 10,", "2,", "12,", "▁9,", "９，", "9，", "٣,", "९,", "½,", "²,",
    "1,2,3,4,5", "may 23, 1999, there", "9,,", ",9", "$1,234.56", "1.", "1.000.000,00", "0x1F, 0b1", "10^-3", "1e-12", "99%",
    "№5", "第3,章", "3,個", "+1-2*3/4=5", "12:30:59", "2024-02-29", "Ⅷ, ⅷ", "①②③,", "㊀㊁", "１２３", "𝟏𝟐𝟑,", "੩,", "1 000 000",
]
ACCENTS = [
    "café", "cafe\u0301", "CAFÉ", "Ångström", "A\u030angstro\u0308m", "naïve façade", "Zażółć gęślą jaźń", "Čeština", "Việt Nam", "Tiếng Việt",
    "e\u0301\u0302\u0303\u0304", "a\u0300\u0316\u0317\u0320b", "\u0301", "\u0301a", " \u0301", "a \u0301", "Z̷̢̛a̶l̸g̵o̴", "q\u0307\u0323", "q\u0323\u0307",
    "İstanbul", "ISPARTA ısı I i", "i\u0307", "Straße STRASSE ẞ", "ΌΔΥΣΣΕΎΣ", "Σίσυφος ΣΑΣ", "ΑΣ. ΑΣΒ", "ά ὰ ᾶ ᾳ ᾷ", "й и\u0306 ё е\u0308", "ǅ ǆ Ǆ",
    "ŉ ǰ ΐ", "Å Å Å", "Ω Ω", "K K", "ñ n\u0303 Ñ", "Ø ø ł đ ħ", "ç c\u0327", "\u0344", "\u0958 \u0915\u093c", "ǖ ü\u0304", "Ʒ Ǯ",
]
COMPATIBILITY = [
    "ﬁ ﬂ ﬀ ﬃ ﬅ", "ﬁne oﬃce", "½ ¼ ¾ ⅓", "① ⑳ ⓐ Ⓐ", "ＡＢＣ ａｂｃ", "Ａ", "ｶﾞ ｷﾞ ﾊﾟ", "ｶ ﾞ", "ガ か\u3099 が", "㌀ ㍿ ㎏ ㏒", "㎡ m² cm³", "x₁ x² xⁿ",
    "™ © ® ℠", "℃ ℉ Å", "ª º", "… ‥ ․", "‼ ⁇ ⁈", "㈠ ㊙", "ĳ Ĳ", "ſ ẛ", "µ μ", "𝐇𝐞𝐥𝐥𝐨 𝓌𝑜𝓇𝓁𝒹", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "🅰🅱 🄰 🄱", "⒈ ⑴ ⓵", "⁰¹²³ ₀₁₂",
    "ﷺ", "ﷲ", "︵︶", "﹁﹂", "～ 〜 ~", "－ ‐ ‑ – — ―", "·•‧・･", "⟨x⟩ 〈x〉", "℡ ™", "Ⅻ ⅻ", "⼀ ⼈ 一 人", "豈 更", "\u212b\u0301",
]
SCRIPTS = [
    "ภาษาไทย", "สวัสดี ครับ", "น้ำ", "مرحبا بالعالم", "السَّلَامُ عَلَيْكُم", "لا إله", "ﻼ ﻻ", "שלום עולם", "שָׁלוֹם", "नमस्ते दुनिया", "क्षत्रिय", "বাংলা",
    "தமிழ்", "తెలుగు", "ქართული", "Ⴀ Ა", "Հայերեն և", "አማርኛ", "ខ្មែរ", "မြန်မာ", "བོད་ཡིག", "한국어", "한글 조합", "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "ㅎㅏㄴ", "ﾡﾢ", "каждый ЙОГУРТ", "Ђорђе", "Ꭰ ꭰ", "ᚠᚢᚦ", "𐍈𐌰", "𐐀𐐨", "ᠮᠣᠩᠭᠣᠯ", "ⴰⵎⴰⵣⵉⵖ", "English العربية 中文", "‏עברית‎ ltr", "ѐ ѝ",
]
CJK = [
    "今天天气很好。", "我爱Rust语言", "深度学习deep learning模型", "中文，标点！？；：“引号”", "繁體字與简体字", "日本語のテキスト", "カタカナとひらがな", "東京都、大阪府",
    "𠀀𠮷", "𪚥㐀㐁", "龘靐", "〇一二三", "々〆ヶ", "中 文 空 格", "中\u3000文", "你好world你好", "C++语言", "价格：￥100，元", "（括号）【方】", "a中b文c", "中。文.中",
    "ＲＮＮ和CNN", "第１章", "兀嗀", "𠀀a𠀀", "中\u0301文", "🈚🈯", "ㄅㄆㄇ", "〱〲", "㋀㍘",
]
EMOJI = [
    "🙂", "🙂🙃", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "🇩", "❤️", "❤", "☎︎ ☎️", "1️⃣ #️⃣", "👨‍💻 codes", "a🙂b", "🙂 🙂", "🧑🏿‍🚀", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "©️", "🫠", "🀄", "⌚️",
    "text🙂，中文", ":-) :( ;)", "¯\\_(ツ)_/¯", "(╯°□°)╯︵ ┻━┻", "🙂\u0301", "👍\u200d",
]
INVISIBLE = [
    "", " ", "  ", "\t", "\n", "\r\n", "\u00a0", "\u3000", "\u2003\u2009", "\u200b", "\ufeff", "\u00ad", "\x00", "\x01\x02", "\x7f", "\x85", "\u2028\u2029",
    " leading", "trailing ", "  both  ", "a  b   c", "a\tb\nc\rd", "a\u00a0b", "a\u200bb", "a\u200db", "a\u200cb", "\ufeffbom", "so\u00adft", "nul\x00inside",
    "\x00start", "end\x00", "be\x07ll", "esc\x1b[0m", "vt\x0bff\x0c", "a\u2060b", "\u202eright to left\u202c", "\u2066iso\u2069", "\ufffd", "a\ufffdb",
    "\ufffe", "\uffff", "\ue000", "\U000f0000", "\u180e", "\u1680 ogham", "a\u0085b", "\x1c\x1d\x1e\x1f", "a\x1cb", "\u200b\u200bx", "\u200ex\u200f", "\u00adx",
    "\n\nline\n\n", "a \u200b b", "\x00 \x00", "\u034f", "a\u034fb", "\u061c", "\U000e0001x", "\u115f\u1160", "\x01lead", "\x7f\x7fab",
]
SPECIAL = [
    "[MASK]", "foo[MASK]bar", "foo [MASK] bar", "foo[MASK] bar", "foo [MASK]bar", "  [MASK]  ", "[MASK][MASK]", "[MASK] [MASK].", "[mask]", "[Mask]", "[ MASK ]",
    "[MASK", "MASK]", "[[MASK]]", "中[MASK]文", "9[MASK],", "é[MASK]\u0301", "[CLS]", "[SEP]", "a [SEP] b", "[CLS] a [SEP]", "<pad>", "<PAD>", "<unk>", "<UNK>",
    "[PAD]", "[UNK]", "[unk]", "a<pad>b", "a<unk>b", "<s>", "</s>", "[unused1]", "[unused99]", "<S>", "▁", "▁▁", "▁hello", "hello▁world", "a ▁ b", "##", "##ing", "a ##b", "run##ing",
    "\u200b[MASK]\u200b", "\n[MASK]\t", "\u3000[MASK]\u3000", "``[MASK]''", "(a)", "(a) (b)", "a(b)c", "a-b", "a - b", "a–b", "£5 €6", "x.y.z", "\"a\"", "...", "--", "-.-", "(([MASK]))",
    "[MASK]\u0301", "\u0301[MASK]", "（a）", "－", "［MASK］",
]
TEXTS = [
    "Hello, World!", "The capital of [MASK] is Paris.", "HELLO", "hElLo", "e.g. i.e. etc.", "U.S.A.", "ain't I'm you've they're we'd", "state-of-the-art",
    "https://example.com/a?b=c&d=%20e#f", "name@host.org", "fn main() { println!(\"{}\", 1); }", "a_b __init__ self.x", "<div class=\"x\">&amp;</div>", "SELECT * FROM t;",
    "C:\\dir\\file.txt", "/usr/bin/env", "@user #tag", "$x^2 + y_1$", "\\frac{1}{2}", "a/b\\c|d", "{}[]()<>", "!?!?", ",,,", "~!@#$%^&*()_+", "a;b:c", "¡Hola! ¿Qué?",
    "a" * 101, "ab" * 60, "x" * 100, "9" * 120, "é" * 101, "中" * 110, "😀" * 40, "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaft",
    "the quick brown fox jumps over the lazy dog " * 4, "a b c d e f g h i j k l m n o p q r s t u v w x y z", "I", "A", "é", "中", ".", "–", "€", "₿", "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋", "⠓⠑⠇⠇⠕", "☃☂", "♔♕",
    "→ ⇒ ↦", "┌─┐", "▀▄█", "the \u2014 dash", "tab\tseparated\tvalues", "CamelCaseWord snake_case", "LaTeX: ``$x$'' and `code`",
]
GROUPS = [QUOTES, NUMBERS, ACCENTS, COMPATIBILITY, SCRIPTS, CJK, EMOJI, INVISIBLE, SPECIAL, TEXTS]

PAIRS = [
    ("", ""), ("", "second"), ("first", ""), (" ", " "), ("what is it?", "it is a test."), ("[MASK]", "[MASK]"), ("a", "b"), ("今天", "天气"), ("\u200b", "x"), ("x", "\u0301"),
    ("cafe\u0301", "CAFÉ"), ("9,", "9,"), ("``a''", "''b``"), ("👩‍👩‍👧‍👦", "🇩🇪"), ("a [SEP] b", "[CLS] c"), ("ﬁ", "½"), ("\x00", "\x00"), ("<pad>", "##"), ("(", ")"), ("long " * 30, "short"),
]


def mixture(generator: random.Random) -> str:
    """Whole texts and single characters of all themes, glued with or without space."""
    parts = []
    for _ in range(generator.randint(2, 6)):
        part = generator.choice(generator.choice(GROUPS))
        if len(part) > 40:
            part = part[:40]
        if part and generator.random() < 0.4:
            part = generator.choice(part)
        parts.append(part)
    return generator.choice(["", "", " ", "  ", ", ", "\t"]).join(parts)


def cases() -> list[tuple[str, str | None]]:
    """Every (text, pair) that is compared; the order is part of the golden files."""
    generator = random.Random(SEED)
    texts = [text for group in GROUPS for text in group]
    texts += [mixture(generator) for _ in range(150)]
    pairs = PAIRS + [(mixture(generator), mixture(generator)) for _ in range(60)]
    out = list(dict.fromkeys([(text, None) for text in texts] + pairs))
    for text, pair in out:
        (text + (pair or "")).encode("utf-8")  # no lone surrogates
    return out
