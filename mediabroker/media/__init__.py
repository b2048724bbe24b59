"""Looking at media files and changing them with ffmpeg and PyAV; used by every part that runs on this machine.

Nothing here is imported with the package: the modules that need PyAV import it themselves, and `binary`, `process`,
`publish`, `sniff` and `slices` work without it.
"""
