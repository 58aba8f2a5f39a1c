"""Makes states.safetensors: what Kokoro's own code computes with examples/data/phonemes-demo.

Versions: torch==2.15.0, transformers==5.24.0, safetensors==0.8.0. The lines that make ids and load weights are those of
`kokoro` 0.9.4 (`model.py`, `modules.py`).

    python tests/golden/phonemes/make_goldens.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AlbertConfig, AlbertModel

HERE = Path(__file__).resolve().parent
DEMO = HERE.parent.parent.parent / "examples" / "data" / "phonemes-demo"

TEXTS = ["həlˈoʊ, wˈɜːld!", "", "nˈoʊ 1 $ <pad> ꭧ ɑ̃n\nː"]

config = json.loads((DEMO / "config.json").read_text(encoding="utf-8"))
vocab = config["vocab"]
bert = AlbertModel(AlbertConfig(vocab_size=config["n_token"], **config["plbert"])).eval()
state_dict = torch.load(DEMO / "phonemes-demo.pth", weights_only=True)["bert"]
bert.load_state_dict({name[7:]: tensor for name, tensor in state_dict.items()})
tensors = {}
for number, phonemes in enumerate(TEXTS):
    input_ids = list(filter(lambda i: i is not None, map(lambda p: vocab.get(p), phonemes)))
    input_ids = torch.LongTensor([[0, *input_ids, 0]])
    with torch.no_grad():
        states = bert(input_ids, attention_mask=torch.ones_like(input_ids)).last_hidden_state
    tensors |= {f"{number}.input_ids": input_ids.float(), f"{number}.states": states.contiguous()}
save_file(tensors, HERE / "states.safetensors")
