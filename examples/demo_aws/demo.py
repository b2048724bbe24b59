"""Both services of AWS on this machine: a video upscaled, and a folder transcoded, over plain HTTP and a queue.

    python examples/demo_aws/demo.py VIDEO.mp4 FOLDER

S3, SQS, Batch, Lambda and API Gateway are simulated. What happens between the requests and the results is not: it is
the code that runs in the cloud, the functions' handlers, the chain of Batch jobs, the worker, the transcoder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import av
import boto3
import httpx

from mediabroker import Broker, JobFailed, JobProgressed, JobSucceeded
from mediabroker.sandbox import Sandboxes

BUCKET, QUEUE = "media", "media-events"


def main(video: Path, folder: Path) -> None:
    say("Start S3, SQS, Batch, Lambda and API Gateway on 127.0.0.1")
    with Sandboxes(["aws"], folder / "sandbox") as sandbox, sandbox.in_environment():  # boto3 talks to it, too
        facts = sandbox.facts["aws"]
        with httpx.Client(headers={"x-api-key": facts["x-api-key"]}, timeout=30) as http:
            upscale(http, facts["REST API"], video, folder, sandbox.config_path)
            transcode(http, facts["REST API"], video)


def upscale(http: httpx.Client, api: str, video: Path, folder: Path, config: Path) -> None:
    say("Super-resolution: put a video into the bucket, and its key into a request")
    s3 = boto3.client("s3")
    s3.upload_file(str(video), BUCKET, "in/clip.mp4")
    job = post(http, f"{api}/", {"key": "in/clip.mp4", "scale": "2", "task": "inference", "env": "spot"})

    say("Follow the job by the events in the queue, until it has ended")
    with Broker.from_config(config) as broker:
        result = wait_for_result(broker, job["reference"])

    say("Download the result, and look at it")
    upscaled = folder / "clip-x2.mp4"
    output = result.outputs[0]
    s3.download_file(output.uri.bucket, output.uri.key, str(upscaled))
    before, after = measure(video), measure(upscaled)
    tell(f"{'source':>8}  {before['width']} x {before['height']}, {before['frames']} frames  {video}")
    tell(f"{'result':>8}  {after['width']} x {after['height']}, {after['frames']} frames  {upscaled}")
    assert upscaled.stat().st_size == output.size_bytes
    assert after == {"width": 2 * before["width"], "height": 2 * before["height"], "frames": before["frames"]}


def wait_for_result(broker: Broker, reference: str) -> Any:
    with broker.events(f"sqs://{QUEUE}", idle_timeout=600) as events:
        for event in events:
            if str(event.ref) != reference:
                continue
            progress = f"  {event.progress:.0%}" if isinstance(event, JobProgressed) else ""
            tell(f"{event.occurred_at:%H:%M:%S}  {event.type}{progress}")
            if isinstance(event, JobSucceeded):
                return event.result
            if isinstance(event, JobFailed):
                sys.exit(f"the job failed: {event.error}")
    sys.exit("no event came for ten minutes")


def transcode(http: httpx.Client, api: str, video: Path) -> None:
    say("Transcoding: a folder of three files, of which one is done first, and one is no video")
    s3 = boto3.client("s3")
    for name in ("first.mp4", "second.mp4"):
        s3.upload_file(str(video), BUCKET, f"films/{name}")
    s3.put_object(Bucket=BUCKET, Key="films/notes.txt", Body=b"remember the milk")
    request = {
        "bucket": BUCKET,
        "contentprovider": "studio",
        "src": "films/",
        "dst": "hls/",
        "type": "m3u8",
        "v_height": 720,
        "v_bitrate": 2000000,
        "time": "20260131120000",
        "testflag": "no",
    }
    post(http, f"{api}/videoTranscode", {**request, "src": "films/first.mp4"})
    show_completion()

    say("The same for the whole folder: what is done is not done again")
    post(http, f"{api}/videoTranscode", request)
    show_completion()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix="hls/")["Contents"]
    say("What lies in the bucket now")
    for each in listed:
        tell(f"{each['Size']:>9}  {each['Key']}")


def show_completion() -> None:
    """One message of the queue; it stays for whoever consumes the queue."""
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for _ in range(30):
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20).get("Messages", ()):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            tell(f"the queue: {message['Body']}")
            return
    sys.exit("no message came for ten minutes")


def post(http: httpx.Client, url: str, body: dict[str, Any]) -> Any:
    tell(f"curl -X POST {url} -H 'x-api-key: …' -d '{json.dumps(body)}'")
    answer = http.post(url, json=body)
    tell(f"{answer.status_code} {json.dumps(answer.json(), indent=2)}")
    answer.raise_for_status()
    return answer.json()


def measure(path: Path) -> dict[str, int]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return {"width": stream.width, "height": stream.height, "frames": sum(1 for _ in container.decode(stream))}


def say(text: str) -> None:
    print(f"\n== {text}\n", flush=True)


def tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
