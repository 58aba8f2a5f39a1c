"""Makes the weights of phonemes-demo: of Kokoro's layout and of no meaning, for `phoneme_states` to run on.

    python examples/data/make_phonemes.py        (needs torch and transformers; the seed is fixed)
"""

import json
from pathlib import Path

import torch
from transformers import AlbertConfig, AlbertModel

DIRECTORY = Path(__file__).resolve().parent / "phonemes-demo"

config = json.loads((DIRECTORY / "config.json").read_text(encoding="utf-8"))
torch.manual_seed(0)
bert = AlbertModel(AlbertConfig(vocab_size=config["n_token"], **config["plbert"]))
networks = {
    "bert": bert,
    "bert_encoder": torch.nn.Linear(config["plbert"]["hidden_size"], config["hidden_dim"]),
    "text_encoder": torch.nn.Embedding(config["n_token"], 2),
}
states = {
    network: {"module." + name: tensor for name, tensor in module.state_dict().items()}
    for network, module in networks.items()
}
torch.save(states, DIRECTORY / "phonemes-demo.pth")
