"""Amazon Web Services: super-resolution on Batch, transcodes on Lambda, S3 and SQS. Needs the extra `aws`.

Names load when they are first used, so that a command that lists plug-ins does not load the vendor's SDK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediabroker_aws.options import BatchOptions, LambdaOptions
    from mediabroker_aws.provider import BatchProvider
    from mediabroker_aws.s3.store import S3Store
    from mediabroker_aws.settings import AwsSettings
    from mediabroker_aws.sqs import SqsSource
    from mediabroker_aws.transcoder.provider import LambdaProvider

__all__ = ["AwsSettings", "BatchOptions", "BatchProvider", "LambdaOptions", "LambdaProvider", "S3Store", "SqsSource"]

_HOMES = {
    "AwsSettings": "settings",
    "BatchOptions": "options",
    "BatchProvider": "provider",
    "LambdaOptions": "options",
    "LambdaProvider": "transcoder.provider",
    "S3Store": "s3.store",
    "SqsSource": "sqs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
