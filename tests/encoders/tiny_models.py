"""Tiny CLIP, SigLIP, DINOv2 and BERT models with random weights, saved to a folder as the model hub has them.

Each function writes config, weights, preprocessing and tokenizer files, and returns the folder; the weights depend on
the seed alone. From a test of another folder: ``from encoders.tiny_models import save_tiny_clip``.
"""

import json
from pathlib import Path

import torch

SIDE = 16  # pixels that the vision towers see
MAX_TOKENS = 12
WORDS = "a an the of on in and two red blue green small dog cat bird house tree car runs sleeps ##s ##ing".split()


def save_tiny_clip(folder, *, seed=0, side=SIDE):
    """Image and text tower, 8 projected features; byte-pair tokenizer that knows every character."""
    from transformers import CLIPConfig, CLIPModel

    vocabulary = _clip_vocabulary()
    last = len(vocabulary) - 1
    config = CLIPConfig(
        text_config=_layers(
            vocab_size=len(vocabulary), max_position_embeddings=MAX_TOKENS, bos_token_id=last - 1, eos_token_id=last
        ),
        vision_config=_layers(image_size=side, patch_size=8),
        projection_dim=8,
    )
    folder = _save(CLIPModel, config, folder, seed)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "image_processor_type": "CLIPImageProcessor",
            "crop_size": {"height": side, "width": side},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"shortest_edge": side},
        },
    )
    _write(folder, "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in _MERGES))
    ends = {name: f"<|{word}oftext|>" for name, word in (("bos_token", "start"), ("eos_token", "end"))}
    _write(
        folder,
        "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            **ends,
            "unk_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "model_max_length": MAX_TOKENS,
        },
    )
    return folder


def save_tiny_siglip(folder, *, seed=0, side=SIDE):
    """Image and text tower, 16 features each; texts are padded to 12 tokens, as the real ones to 64."""
    from transformers import SiglipConfig, SiglipModel

    vocabulary = ["<pad>", "</s>", "<unk>", *WORDS]
    config = SiglipConfig(
        text_config=_layers(
            vocab_size=len(vocabulary),
            max_position_embeddings=MAX_TOKENS,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=1,
            projection_size=16,
        ),
        vision_config=_layers(image_size=side, patch_size=8),
    )
    folder = _save(SiglipModel, config, folder, seed)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "image_processor_type": "SiglipImageProcessor",
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "resample": 3,
            "rescale_factor": 1 / 255,
            "size": {"height": side, "width": side},
        },
    )
    _save_siglip_tokenizer(folder, vocabulary)
    return folder


def save_tiny_dinov2(folder, *, seed=0, side=SIDE):
    """A vision model alone: 16 features; trained at a larger size than it is used at, as the real one is."""
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(image_size=side + 8, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    folder = _save(Dinov2Model, config, folder, seed)
    _write(
        folder,
        "preprocessor_config.json",
        {
            "image_processor_type": "BitImageProcessor",
            "crop_size": {"height": side, "width": side},
            "do_center_crop": True,
            "do_convert_rgb": True,
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "resample": 3,
            "rescale_factor": 0.00392156862745098,
            "size": {"shortest_edge": side * 8 // 7},
        },
    )
    return folder


def save_tiny_bert(folder, *, seed=0):
    """A text model alone: 16 features; word-piece tokenizer of about 25 lower-case words and all ASCII letters."""
    from transformers import BertConfig, BertModel

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys([*letters, *WORDS])]
    vocabulary += [f"##{letter}" for letter in letters if f"##{letter}" not in vocabulary]
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=MAX_TOKENS, **_layers())
    folder = _save(BertModel, config, folder, seed)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary))
    _write(
        folder,
        "tokenizer_config.json",
        {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": MAX_TOKENS},
    )
    return folder


def _layers(**more):
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {**sizes, **more}


def _save(model, config, folder, seed):
    folder = Path(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = model(config)
        for parameter in network.parameters():  # wider than usual, so that features differ clearly between items
            torch.nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    return folder


_MERGES = [("d", "o"), ("do", "g</w>"), ("c", "a"), ("ca", "t</w>"), ("t", "h"), ("th", "e</w>")]


def _clip_vocabulary():
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(f"{letter}</w>" for letter in letters), *(left + right for left, right in _MERGES)]
    return {word: i for i, word in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}


def _save_siglip_tokenizer(folder, vocabulary):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(vocabulary)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TOKENS,
        model_input_names=["input_ids"],
    ).save_pretrained(folder)


def _write(folder, name, content):
    (folder / name).write_text(json.dumps(content, indent=2))
