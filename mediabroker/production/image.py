"""Functions on pictures. Source: Alibaba Cloud MPS, "SubmitIProductionJob"; "unverified" as in `production.video`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mediabroker.jobs import SmartProduction
from mediabroker.production.names import OutputName
from mediabroker.results import ImagesResult

__all__ = ["ImageCartoonize", "ImageDelogo", "ImageH2V", "ImageMatting"]


class ImageH2V(SmartProduction[ImagesResult], frozen=True, defer_build=True):
    """Landscape to portrait: crop so that what matters stays in the picture."""

    kind: Literal["image_h2v"] = "image_h2v"
    function: Literal["image_h2v"] = "image_h2v"
    output: OutputName = Field()


class ImageDelogo(SmartProduction[ImagesResult], frozen=True, defer_build=True):
    """Remove a logo from a picture."""

    kind: Literal["image_delogo"] = "image_delogo"
    function: Literal["image_delogo"] = "image_delogo"
    output: OutputName = Field()


class ImageCartoonize(SmartProduction[ImagesResult], frozen=True, defer_build=True):
    """Draw a face as a cartoon.

    Its parameters and result are unverified (the manual's sample shows `{"Model": "gif"}`): give parameters in
    `params`, by the provider's own names.
    """

    kind: Literal["image_cartoonize"] = "image_cartoonize"
    function: Literal["image_cartoonize"] = "image_cartoonize"
    output: OutputName = Field()


class ImageMatting(SmartProduction[ImagesResult], frozen=True, defer_build=True):
    """Cut out a person. An old function: listed in 2021, missing from the vendor's present list."""

    kind: Literal["image_matting"] = "image_matting"
    function: Literal["image_matting"] = "image_matting"
    output: OutputName = Field()
