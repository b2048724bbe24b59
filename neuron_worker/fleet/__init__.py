"""One job on many machines: what they share lies in a folder of an object store, whichever store that is.

manifest.json            what to do, written by whoever submits the job
plan.json                the first plan that was made; all workers obey it
slice-000007.json        says that slice 7 is finished, and which object it is
slice-000007-5f0c….mp4   named by its digest, so that two workers never overwrite each other
slice-000007.claim       who is working on it
merged.json              what the output will be, written before it is published
result.json              what the job has made, written last
slice-000007.error.json  why an attempt failed

`plan.json`, the slices' records and the output are written on the condition that they are not there: whatever runs
twice has one effect.
"""
