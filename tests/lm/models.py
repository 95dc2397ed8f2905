"""A bigram of <space>, a, b as every kind of file, small texts, and what a model is measured with."""

import base64
import zlib
from pathlib import Path

TOKENS = ["<blank>", "<unk>", "<space>", "a", "b"]

ARPA = """\\data\\
ngram 1=5
ngram 2=8

\\1-grams:
-99.0000000\t<s>\t-0.1303338
-0.6020600\ta\t0.3467875
-0.4259687\tb\t-0.2552725
-0.6020600\t</s>
-0.9030900\t<space>\t-0.0511525

\\2-grams:
-0.4423591\t<s> a
-0.4423591\t<s> b
-0.8293038\ta b
-0.8293038\ta </s>
-0.8293038\ta <space>
-0.2138798\tb </s>
-0.9542425\tb a
-0.3521825\t<space> b

\\end\\
"""

# What KenLM's build_binary (version 0.3.0, `build_binary trie`; the second with -v, without the words) made of it.
_TRIE = (
    "c-qU&O)OBz$yLZGDJihh*U!#KO-##7%}LQq&d=3P&QD2INXswEO)OC;OD!tS%+FIW<zhg9274f}pAks>2Lg}?BUFY7Odhajf"
    "{KAK8&r-1$pls?T~MdE*RrjYK`=Y}@+EO`cCMW7A8U&rWXsOcT<Ci=zs_7sYf|l>?pFw%Ck`>7fMbU&%UJipc(WCx_AB*mv_"
    "s~D9Lxmezc5JO@7Wr-mj%k7Bynq>$mXVftf+>fxD^>FJ{SJJRlW1w@&#(E;^(q$tKrI8^s9A_{~eHkeCMK!S`_6rrFq$Q3^v"
    "7f42cXj`o$n-L1J>M9YYcW0I#i8M*"
)
_TRIE_WITHOUT_WORDS = (
    "c-qU&O)OBz$yLZGDJihh*U!#KO-##7%}LQq&d=3P&QD2INXswEO)OC;OD!tS%+FIW<zhg9274f}pAks>2Lg}?BUFY7Odhajg"
    "7QJ)Y*01_k_oI(x}Z*RuVq^)gJ5>{<xAq?>|8nDKh_pM$d;X>xzP7$ex13N)}-1$-LDWjPaI-E0mlwmma*=G@n$PX?N{pCXo"
    "t)PIT+@i7Y6D3JzE3!vOxKhByQ~!+1#{`71dA_w;}_@=fdB&s&~FyzCdkN{9LweHC$PXeznf=zXKAG?_88oi=rF=2#iiF"
)


def write_models(folder: Path) -> dict[str, Path]:
    """``arpa``, ``gz``, ``binary`` and ``wordless`` -> path of the same model."""
    import gzip

    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "arpa": ARPA.encode(),
        "gz": gzip.compress(ARPA.encode()),
        "binary": zlib.decompress(base64.b85decode(_TRIE)),
        "wordless": zlib.decompress(base64.b85decode(_TRIE_WITHOUT_WORDS)),
    }
    paths = {kind: folder / f"tiny.{kind}" for kind in contents}
    for kind, content in contents.items():
        paths[kind].write_bytes(content)
    return paths


def read_arpa(path: Path) -> tuple[dict[tuple[str, ...], float], dict[tuple[str, ...], float]]:
    """log10 probabilities and back-off weights, by n-gram."""
    probabilities, backoffs = {}, {}
    for line in path.read_text(encoding="utf-8").split("\n"):
        fields = line.split("\t")
        if len(fields) > 1:
            ngram = tuple(fields[1].split(" "))
            probabilities[ngram] = float(fields[0])
            backoffs[ngram] = float(fields[2]) if len(fields) > 2 else 0.0
    return probabilities, backoffs


def context_sums(path: Path) -> dict[tuple[str, ...], float]:
    """For every context in the file, the probabilities of all units after it, by the definition of back-off."""
    probabilities, backoffs = read_arpa(path)

    def log10(context, unit):
        if (*context, unit) in probabilities:
            return probabilities[(*context, unit)]
        return backoffs.get(context, 0.0) + log10(context[1:], unit)

    units = [ngram[0] for ngram in probabilities if len(ngram) == 1 and ngram != ("<s>",)]
    return {
        context: sum(10 ** log10(context, unit) for unit in units)
        for context in {ngram[:-1] for ngram in probabilities}
    }
