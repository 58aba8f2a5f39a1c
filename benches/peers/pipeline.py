"""How fast is transformers' `text-classification` pipeline on the texts of `--example classify_many -- --dump FILE`?

    python pipeline.py TEXTS [--vocabulary DIR] [--batches 1,8,32,64] [--threads 2] [--seconds 20] [--int8]

ALBERT-base with random weights. Each batch size gets as many of the first texts as take about so many seconds; the line that it prints has the tokens
(without padding) and the texts per second. `--int8` quantises the linear layers dynamically, as PyTorch does.
"""

import argparse
import time

import torch
import transformers
from transformers import AlbertConfig, AlbertForSequenceClassification, BertTokenizer, pipeline

SIZES = {"vocab_size": 30000, "embedding_size": 128, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts")
    parser.add_argument("--vocabulary", default="examples/data/albert-chinese-demo")
    parser.add_argument("--batches", default="1,8,32,64")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--int8", action="store_true")
    return parser.parse_args()


def main():
    args = options()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    transformers.logging.set_verbosity_error()
    texts = open(args.texts, encoding="utf-8").read().splitlines()
    tokenizer = BertTokenizer.from_pretrained(args.vocabulary, model_max_length=512)
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    model = AlbertForSequenceClassification(AlbertConfig(**SIZES)).eval()
    if args.int8:
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    pipe = pipeline("text-classification", model=model, tokenizer=tokenizer)
    for batch in map(int, args.batches.split(",")):
        pipe(texts[:batch], batch_size=batch)
        start, done = time.perf_counter(), 0
        # In stretches, to know when to stop; the pipeline loses nothing between them.
        while done < len(texts) and time.perf_counter() - start < args.seconds:
            pipe(texts[done : done + 2 * batch], batch_size=batch)
            done = min(done + 2 * batch, len(texts))
        seconds = time.perf_counter() - start
        print(f"batch {batch}: {sum(lengths[:done]) / seconds:.0f} tokens/s, {done / seconds:.1f} texts/s, of {done} texts", flush=True)


if __name__ == "__main__":
    main()
