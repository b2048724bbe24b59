"""``python -m neuron_worker.training``: train, export, evaluate, card."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from neuron_worker.training.record import read_card, write_card
from neuron_worker.training.scoring.cards import render_cards

_log = logging.getLogger(__name__)

_STEADINESS_PICTURES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 2 on a usage error, 1 when a file is missing."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m neuron_worker.training", description=main.__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands.add_parser("train", help="train a model on a folder of pictures"))
    export = commands.add_parser("export", help="write the ONNX graphs and the card data of trained weights")
    export.add_argument("--weights", type=Path, required=True, help="the .safetensors file that `train` wrote")
    export.add_argument("--images", type=Path, required=True, help="pictures to calibrate int8 with")
    export.add_argument("--out", type=Path, required=True)
    export.set_defaults(run=_export)
    evaluate = commands.add_parser("evaluate", help="score shipped models on benchmark folders")
    evaluate.add_argument("--images", type=Path, nargs="+", required=True, help="one or more benchmark folders")
    evaluate.add_argument(
        "--held-out",
        type=Path,
        nargs="*",
        default=[],
        help="folders of training pictures, to score their held-out part; the first one shows the flicker too",
    )
    evaluate.add_argument("--weights", type=Path, required=True, help="the folder that `export` wrote to")
    _add_name(evaluate)
    evaluate.set_defaults(run=_evaluate)
    cards = commands.add_parser("cards", help="write the model cards of a folder of weights as Markdown")
    cards.add_argument("--weights", type=Path, required=True)
    cards.add_argument("--out", type=Path, required=True)
    cards.set_defaults(run=_cards)
    return parser


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", choices=["fast", "quality"], default="fast")
    parser.add_argument("--scale", type=int, choices=[2, 4], default=2)


def _add_train(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("--images", type=Path, required=True, help="folder of sharp pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and record")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument(
        "--minutes", type=float, default=math.inf, help="as many steps as the machine makes in this time"
    )
    length.add_argument("--steps", type=int, default=math.inf, help="repeatable: the same weights for the same seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch", type=int, default=48, help="side of a patch in input pixels, even")
    parser.add_argument("--learning-rate", type=float, default=0.006)
    parser.add_argument("--plain", action="store_true", help="train without branches; best with a rate of 0.02")
    parser.add_argument("--clips", type=int, default=2, help="H.264 clips per picture")
    parser.add_argument("--clean-share", type=float, default=0.4, help="share of patches with benchmark shrinking")
    parser.add_argument("--drawn", type=int, default=60, help="pictures of text, gradients and lines to draw and add")
    parser.add_argument("--init", type=Path, help="weights to start from; those of another scale lend all but the tail")
    parser.add_argument("--data-note", default="", help="name and licence of the pictures, for the model card")
    parser.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    # torch takes seconds to import and is wanted by this command only.
    from neuron_worker.training.runs import run_training  # noqa: PLC0415

    path = run_training(options)
    _log.info("wrote %s", path)


def _export(options: argparse.Namespace) -> None:
    from neuron_worker.training.model.export import export  # noqa: PLC0415 # needs onnx, as the next command does

    card = export(options.weights, options.images, options.out)
    for name in card["files"]:
        _log.info("wrote %s (%d bytes)", options.out / name, (options.out / name).stat().st_size)


def _evaluate(options: argparse.Namespace) -> None:
    from neuron_worker.training.material.folder import held_out_paths  # noqa: PLC0415
    from neuron_worker.training.material.images import image_paths, load_rgb  # noqa: PLC0415
    from neuron_worker.training.scoring.benchmark import figures, shipped_models  # noqa: PLC0415
    from neuron_worker.training.scoring.steadiness import flicker  # noqa: PLC0415

    card_path = options.weights / f"{options.model}-x{options.scale}.json"
    card = read_card(card_path)
    models = shipped_models(options.weights, options.model, options.scale)
    sets = {folder.name: image_paths(folder) for folder in options.images}
    sets |= {f"{folder.name} held out": held_out_paths(folder) for folder in options.held_out}
    card["figures"] = figures(models, sets, options.scale)
    if options.held_out:
        pictures = [load_rgb(path) for path in held_out_paths(options.held_out[0])[:_STEADINESS_PICTURES]]
        card["flicker"] = flicker(models, pictures, options.scale)
        print("flicker", card["flicker"])
    write_card(card_path, card)
    for folder, kinds in card["figures"].items():
        for kind, methods in kinds.items():
            for method, numbers in methods.items():
                print(folder, kind, method, *(f"{key}={value}" for key, value in numbers.items()))


def _cards(options: argparse.Namespace) -> None:
    cards = [read_card(path) for path in sorted(options.weights.glob("*.json"))]
    options.out.write_text(render_cards(cards))


if __name__ == "__main__":
    sys.exit(main())
